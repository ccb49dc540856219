BEGIN TRANSACTION;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO "alembic_version" VALUES('0007');
CREATE TABLE batch (
	id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	round INTEGER NOT NULL, 
	first BIGINT NOT NULL, 
	count INTEGER NOT NULL, 
	start BIGINT NOT NULL, 
	"end" BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	state VARCHAR(12) NOT NULL, 
	message_batch_id VARCHAR(128), 
	provisional BOOLEAN NOT NULL, 
	identified BOOLEAN NOT NULL, 
	owner VARCHAR(128), 
	lease_until VARCHAR(27), 
	tries INTEGER NOT NULL, 
	looks INTEGER NOT NULL, 
	intent_at VARCHAR(27), 
	attempt INTEGER NOT NULL, 
	created_after VARCHAR(27), 
	unconfirmed VARCHAR(12) NOT NULL, 
	if_absent VARCHAR(8) NOT NULL, 
	unknown_creates INTEGER NOT NULL, 
	unproven_refusals INTEGER NOT NULL, 
	api TEXT NOT NULL, 
	headers JSON, 
	not_before VARCHAR(27), 
	put_off_at VARCHAR(27), 
	missing_since VARCHAR(27), 
	deleted_at VARCHAR(27), 
	created_at VARCHAR(27), 
	expires_at VARCHAR(27), 
	ended_at VARCHAR(27), 
	looked_at VARCHAR(27), 
	processing INTEGER NOT NULL, 
	succeeded INTEGER NOT NULL, 
	errored INTEGER NOT NULL, 
	canceled INTEGER NOT NULL, 
	expired INTEGER NOT NULL, 
	counts_unread BOOLEAN NOT NULL, 
	evidence TEXT NOT NULL, 
	held TEXT NOT NULL, 
	unknown INTEGER NOT NULL, 
	truncated INTEGER NOT NULL, 
	refusals INTEGER NOT NULL, 
	paused_turns INTEGER NOT NULL, 
	results_bytes BIGINT, 
	results_sha256 VARCHAR(64), 
	usage_unread INTEGER, 
	note TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (job_id, round, first), 
	FOREIGN KEY(job_id) REFERENCES job (id), 
	UNIQUE (message_batch_id)
);
CREATE TABLE failure (
	batch_id INTEGER NOT NULL, 
	outcome VARCHAR(12) NOT NULL, 
	error_type VARCHAR(80) NOT NULL, 
	failure_class VARCHAR(8) NOT NULL, 
	count INTEGER NOT NULL, 
	sample_ids JSON NOT NULL, 
	sample_message TEXT NOT NULL, 
	PRIMARY KEY (batch_id, outcome, error_type, failure_class), 
	FOREIGN KEY(batch_id) REFERENCES batch (id)
);
CREATE TABLE job (
	id INTEGER NOT NULL, 
	name VARCHAR(80) NOT NULL, 
	input_path TEXT NOT NULL, 
	input_sha256 VARCHAR(64) NOT NULL, 
	input_size BIGINT NOT NULL, 
	input_mtime_ns BIGINT NOT NULL, 
	line_count BIGINT NOT NULL, 
	left_out BIGINT NOT NULL, 
	api_version VARCHAR(10) NOT NULL, 
	betas JSON NOT NULL, 
	max_requests INTEGER NOT NULL, 
	max_bytes BIGINT NOT NULL, 
	size_start INTEGER, 
	labels JSON NOT NULL, 
	cache_system VARCHAR(2) NOT NULL, 
	depth VARCHAR(8) NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	paused TEXT NOT NULL, 
	hold_until VARCHAR(27), 
	hold_at VARCHAR(27), 
	hold_reason TEXT NOT NULL, 
	canceled_at VARCHAR(27), 
	may_be_copied BOOLEAN NOT NULL, 
	window INTEGER, 
	window_at VARCHAR(27), 
	max_cost TEXT, 
	merged JSON, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
CREATE TABLE move (
	id INTEGER NOT NULL, 
	batch_id INTEGER NOT NULL, 
	at VARCHAR(27) NOT NULL, 
	"before" VARCHAR(12) NOT NULL, 
	"after" VARCHAR(12) NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(batch_id) REFERENCES batch (id)
);
CREATE TABLE place (
	workspace_id VARCHAR(32) NOT NULL, 
	salt VARCHAR(32) NOT NULL, 
	machine VARCHAR(16) NOT NULL, 
	path TEXT NOT NULL, 
	device BIGINT NOT NULL, 
	inode BIGINT NOT NULL, 
	generation BIGINT NOT NULL, 
	PRIMARY KEY (workspace_id)
);
INSERT INTO "place" VALUES('77d4ffbb9a352b23b084be0df245cdbb','d6f49ccaeb92223ae070f2397b7d994f','','',0,0,0);
CREATE TABLE presumed (
	id INTEGER NOT NULL, 
	batch_id INTEGER NOT NULL, 
	first BIGINT NOT NULL, 
	count INTEGER NOT NULL, 
	start BIGINT NOT NULL, 
	"end" BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	created_after VARCHAR(27), 
	at VARCHAR(27) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(batch_id) REFERENCES batch (id)
);
CREATE TABLE round (
	job_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	request_file TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	count BIGINT NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	shape VARCHAR(64) NOT NULL, 
	forecast JSON, 
	changes JSON, 
	PRIMARY KEY (job_id, number), 
	FOREIGN KEY(job_id) REFERENCES job (id)
);
CREATE TABLE stranger (
	job_id INTEGER NOT NULL, 
	message_batch_id VARCHAR(128) NOT NULL, 
	at VARCHAR(27) NOT NULL, 
	PRIMARY KEY (job_id, message_batch_id), 
	FOREIGN KEY(job_id) REFERENCES job (id)
);
CREATE TABLE surplus (
	job_id INTEGER NOT NULL, 
	message_batch_id VARCHAR(128) NOT NULL, 
	at VARCHAR(27) NOT NULL, 
	settled BOOLEAN NOT NULL, 
	PRIMARY KEY (job_id, message_batch_id), 
	FOREIGN KEY(job_id) REFERENCES job (id)
);
CREATE TABLE usage (
	batch_id INTEGER NOT NULL, 
	model VARCHAR(128) NOT NULL, 
	prompt_over INTEGER NOT NULL, 
	inference_geo VARCHAR(16) NOT NULL, 
	requests INTEGER NOT NULL, 
	input BIGINT NOT NULL, 
	write_5m BIGINT NOT NULL, 
	write_1h BIGINT NOT NULL, 
	read BIGINT NOT NULL, 
	output BIGINT NOT NULL, 
	web_searches BIGINT NOT NULL, 
	prices JSON, 
	PRIMARY KEY (batch_id, model, prompt_over, inference_geo), 
	FOREIGN KEY(batch_id) REFERENCES batch (id)
);
CREATE INDEX ix_batch_state ON batch (job_id, state);
COMMIT;
