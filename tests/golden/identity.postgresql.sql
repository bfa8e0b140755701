-- What PostgreSQL's replica identities leave in the log.
CREATE TABLE identity_default (id INT PRIMARY KEY, note TEXT, size INT);
CREATE TABLE identity_index (id INT PRIMARY KEY, code TEXT NOT NULL, size INT);
CREATE UNIQUE INDEX identity_code ON identity_index (code);
ALTER TABLE identity_index REPLICA IDENTITY USING INDEX identity_code;

INSERT INTO identity_default VALUES (1, 'x', 10);
-> c {"id":1} null {"id":1,"note":"x","size":10}
UPDATE identity_default SET size = 11;
-> u {"id":1} null {"id":1,"note":"x","size":11}
UPDATE identity_default SET id = 2;
-> d {"id":1} {"id":1} null
-> c {"id":2} null {"id":2,"note":"x","size":11}
DELETE FROM identity_default;
-> d {"id":2} {"id":2} null

INSERT INTO identity_index VALUES (1, 'k', 10);
-> c {"code":"k"} null {"id":1,"code":"k","size":10}
DELETE FROM identity_index;
-> d {"code":"k"} {"code":"k"} null
