-- Inserts, updates and deletes of rows with a key.
CREATE TABLE rows_basic (id BIGINT PRIMARY KEY, category VARCHAR(32), domain VARCHAR(64) NOT NULL);
@postgresql ALTER TABLE rows_basic REPLICA IDENTITY FULL;

INSERT INTO rows_basic VALUES (1, 'news', 'example.org'), (2, NULL, '');
-> c {"id":1} null {"id":1,"category":"news","domain":"example.org"}
-> c {"id":2} null {"id":2,"category":null,"domain":""}

UPDATE rows_basic SET category = 'sport' WHERE id = 1;
-> u {"id":1} {"id":1,"category":"news","domain":"example.org"} {"id":1,"category":"sport","domain":"example.org"}

UPDATE rows_basic SET category = NULL, domain = 'x' WHERE id = 2;
-> u {"id":2} {"id":2,"category":null,"domain":""} {"id":2,"category":null,"domain":"x"}

DELETE FROM rows_basic WHERE id = 1;
-> d {"id":1} {"id":1,"category":"sport","domain":"example.org"} null

-- What is rolled back never happened.
BEGIN;
INSERT INTO rows_basic VALUES (3, 'gone', 'gone');
ROLLBACK;

-- A transaction's changes come in their order.
BEGIN;
INSERT INTO rows_basic VALUES (4, 'a', 'b');
-> c {"id":4} null {"id":4,"category":"a","domain":"b"}
UPDATE rows_basic SET domain = 'c' WHERE id = 4;
-> u {"id":4} {"id":4,"category":"a","domain":"b"} {"id":4,"category":"a","domain":"c"}
DELETE FROM rows_basic WHERE id = 4;
-> d {"id":4} {"id":4,"category":"a","domain":"c"} null
COMMIT;
