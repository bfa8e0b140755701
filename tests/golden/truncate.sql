-- A truncate is one change of the whole table, with a key that no row has.
CREATE TABLE truncate_one (id INT PRIMARY KEY, note VARCHAR(20));
@postgresql ALTER TABLE truncate_one REPLICA IDENTITY FULL;

INSERT INTO truncate_one VALUES (1, 'x');
-> c {"id":1} null {"id":1,"note":"x"}
TRUNCATE TABLE truncate_one;
-> t {} null null
INSERT INTO truncate_one VALUES (1, 'y');
-> c {"id":1} null {"id":1,"note":"y"}
