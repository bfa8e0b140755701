-- PostgreSQL's own types.
CREATE TYPE types_mood AS ENUM ('sad', 'ok');
CREATE TABLE types_postgresql (id INT PRIMARY KEY, yes BOOLEAN, at TIMESTAMP, at_zone TIMESTAMPTZ, clock TIME, raw BYTEA, doc JSON, bdoc JSONB, code UUID, tags TEXT[], grid INT[], mood types_mood, flags BIT(5), span INTERVAL);
ALTER TABLE types_postgresql REPLICA IDENTITY FULL;

INSERT INTO types_postgresql VALUES (1, true, '2026-11-21 10:00:00.123456', '2026-11-21 10:00:00.5+02', '23:59:59.999999', '\x00ff10', '{"a": 1.0,  "b":[]}', '{"a": 1.0,  "b":[]}', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{a,NULL,"b,\"c\""}', '{{1,2},{3,4}}', 'ok', B'10101', '1 day 02:03:04');
-> c {"id":1} null {"id":1,"yes":true,"at":"2026-11-21T10:00:00.123456","at_zone":"2026-11-21T08:00:00.5Z","clock":"23:59:59.999999","raw":"AP8Q","doc":"{\"a\": 1.0,  \"b\":[]}","bdoc":"{\"a\": 1.0, \"b\": []}","code":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","tags":["a",null,"b,\"c\""],"grid":[[1,2],[3,4]],"mood":"ok","flags":"10101","span":"P1DT2H3M4S"}

INSERT INTO types_postgresql (id, at, at_zone) VALUES (2, 'infinity', '0044-03-15 12:00:00+00 BC');
-> c {"id":2} null {"id":2,"yes":null,"at":"infinity","at_zone":"0044-03-15 12:00:00+00 BC","clock":null,"raw":null,"doc":null,"bdoc":null,"code":null,"tags":null,"grid":null,"mood":null,"flags":null,"span":null}
