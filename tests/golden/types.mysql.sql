-- MySQL's own types.
CREATE TABLE types_mysql (id BIGINT UNSIGNED PRIMARY KEY, tiny TINYINT(1), at DATETIME(6), short DATETIME, stamp TIMESTAMP(3) NULL, clock TIME(6), born YEAR, raw VARBINARY(8), fixed BINARY(4), doc JSON, mood ENUM('sad','ok'), tags SET('a','b','c'), flags BIT(5));
SET time_zone = '+02:00';

INSERT INTO types_mysql VALUES (18446744073709551615, 1, '2026-11-21 10:00:00.123456', '2026-11-21 10:00:00', '2026-11-21 10:00:00.5', '-838:59:58.5', 2026, x'00ff10', x'ab00', '{"a": 1.0, "b": [], "c": "é"}', 'ok', 'c,a', b'10101');
-> c {"id":18446744073709551615} null {"id":18446744073709551615,"tiny":1,"at":"2026-11-21T10:00:00.123456","short":"2026-11-21T10:00:00","stamp":"2026-11-21T08:00:00.500Z","clock":"-838:59:58.500000","born":"2026","raw":"AP8Q","fixed":"qwAAAA==","doc":"{\"a\": 1.0, \"b\": [], \"c\": \"é\"}","mood":"ok","tags":"a,c","flags":"10101"}
