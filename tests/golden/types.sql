-- Types that both databases have, in one text.
CREATE TABLE types_common (
  id BIGINT PRIMARY KEY,
  small SMALLINT,
  whole INT,
  price DECIMAL(20,4),
  ratio DOUBLE PRECISION,
  single REAL,
  label VARCHAR(100),
  fixed CHAR(4),
  body TEXT,
  day DATE
);
@mysql ALTER TABLE types_common MODIFY single FLOAT;

INSERT INTO types_common VALUES (1, -32768, 2147483647, 12.5, 0.1, 0.1, 'naïve "quoted" \ 雪 😀', 'ab', 'line
break', '2026-11-21');
@mysql -> c {"id":1} null {"id":1,"small":-32768,"whole":2147483647,"price":"12.5000","ratio":0.1,"single":0.1,"label":"naïve \"quoted\"  雪 😀","fixed":"ab","body":"line\nbreak","day":"2026-11-21"}
@postgresql -> c {"id":1} null {"id":1,"small":-32768,"whole":2147483647,"price":"12.5000","ratio":0.1,"single":0.1,"label":"naïve \"quoted\" \\ 雪 😀","fixed":"ab  ","body":"line\nbreak","day":"2026-11-21"}

-- 64-bit integers keep every digit.
INSERT INTO types_common (id) VALUES (9223372036854775807), (-9223372036854775808), (9007199254740993);
-> c {"id":9223372036854775807} null {"id":9223372036854775807,"small":null,"whole":null,"price":null,"ratio":null,"single":null,"label":null,"fixed":null,"body":null,"day":null}
-> c {"id":-9223372036854775808} null {"id":-9223372036854775808,"small":null,"whole":null,"price":null,"ratio":null,"single":null,"label":null,"fixed":null,"body":null,"day":null}
-> c {"id":9007199254740993} null {"id":9007199254740993,"small":null,"whole":null,"price":null,"ratio":null,"single":null,"label":null,"fixed":null,"body":null,"day":null}

INSERT INTO types_common (id, price, ratio, single) VALUES (2, 0.0001, 1e300, 16777216), (3, -9999999999999999.9999, -2.5e-10, 3.4028235e38);
-> c {"id":2} null {"id":2,"small":null,"whole":null,"price":"0.0001","ratio":1e+300,"single":16777216,"label":null,"fixed":null,"body":null,"day":null}
-> c {"id":3} null {"id":3,"small":null,"whole":null,"price":"-9999999999999999.9999","ratio":-2.5e-10,"single":3.4028235e+38,"label":null,"fixed":null,"body":null,"day":null}
