-- A changed key is a delete and a create.
CREATE TABLE keys_one (id INT PRIMARY KEY, note VARCHAR(20));
CREATE TABLE keys_two (b VARCHAR(8), a INT, note VARCHAR(20), PRIMARY KEY (a, b));
CREATE TABLE keys_none (a INT, b VARCHAR(8));
@postgresql ALTER TABLE keys_one REPLICA IDENTITY FULL;
@postgresql ALTER TABLE keys_two REPLICA IDENTITY FULL;
@postgresql ALTER TABLE keys_none REPLICA IDENTITY FULL;

INSERT INTO keys_one VALUES (1, 'x');
-> c {"id":1} null {"id":1,"note":"x"}
UPDATE keys_one SET id = 2 WHERE id = 1;
-> d {"id":1} {"id":1,"note":"x"} null
-> c {"id":2} null {"id":2,"note":"x"}

-- The key's columns stand in the key's own order, not the table's.
INSERT INTO keys_two VALUES ('k', 7, 'x');
-> c {"a":7,"b":"k"} null {"b":"k","a":7,"note":"x"}
UPDATE keys_two SET note = 'y';
-> u {"a":7,"b":"k"} {"b":"k","a":7,"note":"x"} {"b":"k","a":7,"note":"y"}
UPDATE keys_two SET b = 'l';
-> d {"a":7,"b":"k"} {"b":"k","a":7,"note":"y"} null
-> c {"a":7,"b":"l"} null {"b":"l","a":7,"note":"y"}
DELETE FROM keys_two;
-> d {"a":7,"b":"l"} {"b":"l","a":7,"note":"y"} null

-- Without a key the whole row is the key, so that every update of it is a changed key.
INSERT INTO keys_none VALUES (1, 'p'), (1, 'p');
-> c {"a":1,"b":"p"} null {"a":1,"b":"p"}
-> c {"a":1,"b":"p"} null {"a":1,"b":"p"}
UPDATE keys_none SET b = 'q';
-> d {"a":1,"b":"p"} {"a":1,"b":"p"} null
-> c {"a":1,"b":"q"} null {"a":1,"b":"q"}
-> d {"a":1,"b":"p"} {"a":1,"b":"p"} null
-> c {"a":1,"b":"q"} null {"a":1,"b":"q"}
DELETE FROM keys_none;
-> d {"a":1,"b":"q"} {"a":1,"b":"q"} null
-> d {"a":1,"b":"q"} {"a":1,"b":"q"} null
