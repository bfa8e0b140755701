-- Names that hurt: columns called like numbers or like members of every object, quotes, other scripts.
@mysql SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES');
CREATE TABLE "names_Odd" ("2" INT, "1" INT PRIMARY KEY, "__proto__" VARCHAR(9), "constructor" INT, "select" INT, "naïve 雪" INT, "Mixed" INT);
@postgresql ALTER TABLE "names_Odd" REPLICA IDENTITY FULL;

INSERT INTO "names_Odd" VALUES (2, 1, 'p', 3, 4, 5, 6);
-> c {"1":1} null {"2":2,"1":1,"__proto__":"p","constructor":3,"select":4,"naïve 雪":5,"Mixed":6}
DELETE FROM "names_Odd";
-> d {"1":1} {"2":2,"1":1,"__proto__":"p","constructor":3,"select":4,"naïve 雪":5,"Mixed":6} null
