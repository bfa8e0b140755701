-- Types that both databases have, in one text.
CREATE TABLE scalars_all (
  id BIGINT PRIMARY KEY,
  small SMALLINT,
  whole INT,
  price DECIMAL(20,4) NOT NULL DEFAULT 0,
  ratio DOUBLE PRECISION NOT NULL DEFAULT 0,
  single REAL NOT NULL DEFAULT 0,
  label VARCHAR(100),
  fixed CHAR(4),
  body TEXT,
  day DATE
);
@mysql ALTER TABLE scalars_all MODIFY single FLOAT NOT NULL DEFAULT 0;

INSERT INTO scalars_all VALUES (1, -32768, 2147483647, 12.5, 0.1, 0.1, 'naïve "quoted" \ 雪 😀', 'ab', 'line
break', '2026-11-21');
@mysql -> c {"id":1} null {"id":1,"small":-32768,"whole":2147483647,"price":"12.5000","ratio":0.1,"single":0.1,"label":"naïve \"quoted\"  雪 😀","fixed":"ab","body":"line\nbreak","day":"2026-11-21"}
@postgresql -> c {"id":1} null {"id":1,"small":-32768,"whole":2147483647,"price":"12.5000","ratio":0.1,"single":0.1,"label":"naïve \"quoted\" \\ 雪 😀","fixed":"ab  ","body":"line\nbreak","day":"2026-11-21"}

-- 64-bit integers keep every digit.
INSERT INTO scalars_all (id) VALUES (9223372036854775807), (-9223372036854775808), (9007199254740993);
-> c {"id":9223372036854775807} null {"id":9223372036854775807,"small":null,"whole":null,"price":"0.0000","ratio":0,"single":0,"label":null,"fixed":null,"body":null,"day":null}
-> c {"id":-9223372036854775808} null {"id":-9223372036854775808,"small":null,"whole":null,"price":"0.0000","ratio":0,"single":0,"label":null,"fixed":null,"body":null,"day":null}
-> c {"id":9007199254740993} null {"id":9007199254740993,"small":null,"whole":null,"price":"0.0000","ratio":0,"single":0,"label":null,"fixed":null,"body":null,"day":null}

INSERT INTO scalars_all (id, price, ratio, single) VALUES (2, 0.0001, 1e300, 16777216), (3, -9999999999999999.9999, -2.5e-10, 3.402823e38);
-> c {"id":2} null {"id":2,"small":null,"whole":null,"price":"0.0001","ratio":1e+300,"single":16777216,"label":null,"fixed":null,"body":null,"day":null}
-> c {"id":3} null {"id":3,"small":null,"whole":null,"price":"-9999999999999999.9999","ratio":-2.5e-10,"single":3.402823e+38,"label":null,"fixed":null,"body":null,"day":null}
