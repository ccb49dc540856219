"""Money: what models cost (`catalog`), what an input will cost (`estimate`), a limit (`budget`), and what it did cost (`bill`).

`advice` says how an input would cost less. Usage and prices themselves are values of `domain.prices`.
"""
