BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
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
	lost_at VARCHAR(27), 
	api TEXT NOT NULL, 
	not_before VARCHAR(27), 
	missing_since VARCHAR(27), 
	created_at VARCHAR(27), 
	expires_at VARCHAR(27), 
	ended_at VARCHAR(27), 
	looked_at VARCHAR(27), 
	processing INTEGER NOT NULL, 
	succeeded INTEGER NOT NULL, 
	errored INTEGER NOT NULL, 
	canceled INTEGER NOT NULL, 
	expired INTEGER NOT NULL, 
	unknown INTEGER NOT NULL, 
	truncated INTEGER NOT NULL, 
	refusals INTEGER NOT NULL, 
	paused_turns INTEGER NOT NULL, 
	results_bytes BIGINT, 
	results_sha256 VARCHAR(64), 
	note TEXT NOT NULL, given_up_at VARCHAR(27), deleted_at VARCHAR(27), usage_unread INTEGER, 
	PRIMARY KEY (id), 
	UNIQUE (job_id, round, first), 
	UNIQUE (message_batch_id), 
	FOREIGN KEY(job_id) REFERENCES job (id)
);
INSERT INTO "batch" VALUES(1,1,1,0,3,0,440,'743fb7efd9e890b47841ec1a23974fd20aca0f7122005f3fdbb644baa63b886c','fetched','{batch-1}',0,0,NULL,NULL,0,0,'{-928.741218}',NULL,'{base_url} 00000000-0000-4000-8000-000000000000 wrkspc_0175d143f1aaa447e3f71fac',NULL,NULL,'{-927.851676}','{+85472.148324}','{-927.851675}','{-917.251404}',0,3,0,0,0,0,0,0,0,1623,'e69a913d56009186bc942f8bd2bf661d6045b299252d41b0210e3c36e317640d','',NULL,NULL,0);
INSERT INTO "batch" VALUES(2,1,1,3,3,441,881,'c595393a51d458c5863aa7265dea7a5c2c60464f2cf120b93f6ce7b71f9184c8','in_progress','{batch-2}',0,0,NULL,NULL,0,0,'{-900.737893}',NULL,'{base_url} 00000000-0000-4000-8000-000000000000 wrkspc_0175d143f1aaa447e3f71fac',NULL,NULL,'{-900.438540}','{+85499.561460}',NULL,'{-900.430842}',3,0,0,0,0,0,0,0,0,NULL,NULL,'{batch-2}',NULL,NULL,NULL);
INSERT INTO "batch" VALUES(3,1,1,6,3,882,1322,'02c0e1279d45182473f3c257d4f1a1d236ecbd4fa38157fbd84f2e2f6de51003','submitting',NULL,0,0,NULL,NULL,0,0,'{-900.626821}','{-900.593379}','{base_url} 00000000-0000-4000-8000-000000000000 wrkspc_0175d143f1aaa447e3f71fac','{-883.091339}',NULL,NULL,NULL,NULL,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL,'in doubt, and the API cannot be asked: HTTP 529 overloaded_error Overloaded (req_013jMVLVxyqFjxzaFock12VT)',NULL,NULL,NULL);
INSERT INTO "batch" VALUES(4,1,1,9,3,1323,1767,'01c60974a959e7a96dd16828fba128c3c00a382afdf07b1ab499d95c3503d828','planned',NULL,0,0,NULL,NULL,1,0,NULL,NULL,'{base_url} 00000000-0000-4000-8000-000000000000 wrkspc_0175d143f1aaa447e3f71fac','{+0.000000}',NULL,NULL,NULL,NULL,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL,'HTTP 429 rate_limit_error This request would exceed your organization''s rate limit. (req_01T7tbQr6fU4EP76NUZJPGC1)',NULL,NULL,NULL);
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
	labels JSON NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	paused TEXT NOT NULL, 
	hold_until VARCHAR(27), 
	hold_reason TEXT NOT NULL, 
	merged JSON, canceled_at VARCHAR(27), window INTEGER, window_at VARCHAR(27), cache_system VARCHAR(2) DEFAULT '' NOT NULL, max_cost TEXT, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "job" VALUES(1,'in-9378','{folder}/in.jsonl','937826b7e23aacb103d7abf2fbe746dc3c91696eac893e89509b5584ef9c9a97',1768,1796056709957089606,12,0,'2026-10-21','[]',3,250000000,'{}','{-927.937328}','','{+0.000000}','HTTP 429 rate_limit_error This request would exceed your organization''s rate limit. (req_01T7tbQr6fU4EP76NUZJPGC1)','{"at": "2026-11-30T16:38:47.856971+00:00", "batches": 1, "succeeded": 3, "errored": 0, "canceled": 0, "expired": 0, "unknown": 0, "unanswered": 9, "truncated": 0, "refusals": 0, "paused_turns": 0, "failures": [{"round": 0, "outcome": "unanswered", "error_type": "unanswered", "failure_class": "retry", "count": 9, "sample_ids": ["row-03", "row-04", "row-05"], "sample_message": "no result yet"}], "cost": {"batch": "0.0001005", "real_time": "0.000201", "unknown": [], "beyond": [], "sources": ["genai-prices 0.2.3"], "days": ["2026-11-30"], "cache": null}}',NULL,NULL,NULL,'',NULL);
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
INSERT INTO "move" VALUES(1,1,'{-927.898277}','planned','submitting','');
INSERT INTO "move" VALUES(2,1,'{-927.849408}','submitting','in_progress','{batch-1}');
INSERT INTO "move" VALUES(3,2,'{-927.816890}','planned','submitting','');
INSERT INTO "move" VALUES(4,2,'{-927.677894}','submitting','planned','HTTP 429 rate_limit_error This request would exceed your organization''s rate limit. (req_01aGuwHU6MF2U1tPLUhWVR44)');
INSERT INTO "move" VALUES(5,1,'{-917.251404}','in_progress','ended','');
INSERT INTO "move" VALUES(6,1,'{-917.130564}','ended','fetched','');
INSERT INTO "move" VALUES(7,2,'{-900.496677}','planned','submitting','');
INSERT INTO "move" VALUES(8,2,'{-900.430842}','submitting','in_progress','{batch-2}');
INSERT INTO "move" VALUES(9,3,'{-900.385606}','planned','submitting','');
INSERT INTO "move" VALUES(10,4,'{-900.331447}','planned','submitting','');
INSERT INTO "move" VALUES(11,4,'{-900.191333}','submitting','planned','HTTP 429 rate_limit_error This request would exceed your organization''s rate limit. (req_01T7tbQr6fU4EP76NUZJPGC1)');
CREATE TABLE round (
	job_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	request_file TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	count BIGINT NOT NULL, 
	created_at VARCHAR(27) NOT NULL, shape VARCHAR(64) DEFAULT '' NOT NULL, forecast JSON, 
	PRIMARY KEY (job_id, number), 
	FOREIGN KEY(job_id) REFERENCES job (id)
);
INSERT INTO "round" VALUES(1,1,'jobs/in-9378/round-1.requests.jsonl',1768,1796056716799065148,12,'{-927.937407}','5492d06496df1344c6507c8f3cb3b7ca','{"low": "0.0001395", "expected": "0.0006995", "high": "0.002359", "how": "input: from bytes alone: 2 to 8 of them to a token; output: no earlier answers; 1% and 25% of max_tokens are assumed, high is all of it", "prices": "genai-prices 0.2.3 of 2026-11-30", "is_bound": true}');
CREATE TABLE stranger (
	job_id INTEGER NOT NULL, 
	message_batch_id VARCHAR(128) NOT NULL, 
	at VARCHAR(27) NOT NULL, 
	PRIMARY KEY (job_id, message_batch_id), 
	FOREIGN KEY(job_id) REFERENCES job (id)
);
CREATE TABLE "surplus" (
	job_id INTEGER NOT NULL, 
	message_batch_id VARCHAR(128) NOT NULL, 
	at VARCHAR(27) NOT NULL, 
	settled BOOLEAN DEFAULT 0 NOT NULL, 
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
	PRIMARY KEY (batch_id, model, prompt_over, inference_geo), 
	FOREIGN KEY(batch_id) REFERENCES batch (id)
);
INSERT INTO "usage" VALUES(1,'claude-haiku-4-5-20251001',0,'',3,36,0,0,0,33,0);
CREATE INDEX ix_batch_state ON batch (job_id, state);
COMMIT;
