-- Each row is told under the columns that its table had when it was written.
CREATE TABLE alter_one (id INT PRIMARY KEY, note VARCHAR(20), size INT);
@postgresql ALTER TABLE alter_one REPLICA IDENTITY FULL;

INSERT INTO alter_one VALUES (1, 'x', 10);
-> c {"id":1} null {"id":1,"note":"x","size":10}
ALTER TABLE alter_one ADD COLUMN extra VARCHAR(5);
INSERT INTO alter_one VALUES (2, 'y', 20, 'e');
-> c {"id":2} null {"id":2,"note":"y","size":20,"extra":"e"}
ALTER TABLE alter_one DROP COLUMN note;
INSERT INTO alter_one VALUES (3, 30, 'f');
-> c {"id":3} null {"id":3,"size":30,"extra":"f"}
ALTER TABLE alter_one RENAME COLUMN size TO weight;
UPDATE alter_one SET weight = 31 WHERE id = 3;
-> u {"id":3} {"id":3,"weight":30,"extra":"f"} {"id":3,"weight":31,"extra":"f"}
