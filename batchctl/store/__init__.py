"""Named bytes: one protocol (`protocol`), its implementation on a folder (`local`), and the files that the program keeps."""
