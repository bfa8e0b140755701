;; LZ4 blocks (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md), decoded and encoded within
;; one memory. Copies run on to the next 16 bytes: 16 bytes after both regions belong to them.
(module
  (memory (export "memory") 1)

  ;; Decodes the block from $ip to $ip_end and writes from $op on, at most to $op_end; matches reach
  ;; back to $base. Answers where the output ends; -1: the block is malformed; -2: there is no room.
  (func (export "decode")
    (param $ip i32) (param $ip_end i32) (param $base i32) (param $op i32) (param $op_end i32)
    (result i32)
    (local $token i32) (local $length i32) (local $byte i32) (local $from i32) (local $end i32)
    (local $distance i32)
    (loop $sequence
      (if (i32.ge_u (local.get $ip) (local.get $ip_end)) (then (return (i32.const -1))))
      (local.set $token (i32.load8_u (local.get $ip)))
      (local.set $ip (i32.add (local.get $ip) (i32.const 1)))

      ;; Literals.
      (local.set $length (i32.shr_u (local.get $token) (i32.const 4)))
      (if (i32.eq (local.get $length) (i32.const 15)) (then
        (loop $more
          (if (i32.ge_u (local.get $ip) (local.get $ip_end)) (then (return (i32.const -1))))
          (local.set $byte (i32.load8_u (local.get $ip)))
          (local.set $ip (i32.add (local.get $ip) (i32.const 1)))
          (local.set $length (i32.add (local.get $length) (local.get $byte)))
          (br_if $more (i32.eq (local.get $byte) (i32.const 255))))))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $ip_end) (local.get $ip)))
        (then (return (i32.const -1))))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $op_end) (local.get $op)))
        (then (return (i32.const -2))))
      (local.set $end (i32.add (local.get $op) (local.get $length)))
      (local.set $from (local.get $ip))
      (local.set $ip (i32.add (local.get $ip) (local.get $length)))
      (if (i32.lt_u (local.get $op) (local.get $end)) (then
        (loop $copy
          (v128.store (local.get $op) (v128.load (local.get $from)))
          (local.set $op (i32.add (local.get $op) (i32.const 16)))
          (local.set $from (i32.add (local.get $from) (i32.const 16)))
          (br_if $copy (i32.lt_u (local.get $op) (local.get $end))))))
      (local.set $op (local.get $end))
      ;; The last sequence has no match.
      (if (i32.eq (local.get $ip) (local.get $ip_end)) (then (return (local.get $op))))

      ;; A match.
      (if (i32.lt_u (i32.sub (local.get $ip_end) (local.get $ip)) (i32.const 2))
        (then (return (i32.const -1))))
      (local.set $distance (i32.load16_u (local.get $ip)))
      (local.set $ip (i32.add (local.get $ip) (i32.const 2)))
      (if (i32.or
            (i32.eqz (local.get $distance))
            (i32.gt_u (local.get $distance) (i32.sub (local.get $op) (local.get $base))))
        (then (return (i32.const -1))))
      (local.set $length (i32.and (local.get $token) (i32.const 15)))
      (if (i32.eq (local.get $length) (i32.const 15)) (then
        (loop $more
          (if (i32.ge_u (local.get $ip) (local.get $ip_end)) (then (return (i32.const -1))))
          (local.set $byte (i32.load8_u (local.get $ip)))
          (local.set $ip (i32.add (local.get $ip) (i32.const 1)))
          (local.set $length (i32.add (local.get $length) (local.get $byte)))
          (br_if $more (i32.eq (local.get $byte) (i32.const 255))))))
      (local.set $length (i32.add (local.get $length) (i32.const 4)))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $op_end) (local.get $op)))
        (then (return (i32.const -2))))
      (local.set $end (i32.add (local.get $op) (local.get $length)))
      (local.set $from (i32.sub (local.get $op) (local.get $distance)))
      (if (i32.ge_u (local.get $distance) (i32.const 16))
        (then
          (loop $copy
            (v128.store (local.get $op) (v128.load (local.get $from)))
            (local.set $op (i32.add (local.get $op) (i32.const 16)))
            (local.set $from (i32.add (local.get $from) (i32.const 16)))
            (br_if $copy (i32.lt_u (local.get $op) (local.get $end)))))
        (else
          ;; The match overlaps what it makes.
          (loop $copy
            (i32.store8 (local.get $op) (i32.load8_u (local.get $from)))
            (local.set $op (i32.add (local.get $op) (i32.const 1)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (br_if $copy (i32.lt_u (local.get $op) (local.get $end))))))
      (local.set $op (local.get $end))
      (br $sequence))
    (unreachable))

  ;; Where the table has the place of the 5 bytes at $at: 8,192 places of 2 bytes, by a multiplicative
  ;; hash with the prime that LZ4 itself has for 5 bytes.
  (func $slot (param $at i32) (param $table i32) (result i32)
    (i32.add
      (local.get $table)
      (i32.shl
        (i32.wrap_i64 (i64.shr_u
          (i64.mul (i64.shl (i64.load (local.get $at)) (i64.const 24)) (i64.const 889523592379))
          (i64.const 51)))
        (i32.const 1))))

  ;; Writes what of a length stands after its token; answers where that ends.
  (func $rest (param $op i32) (param $length i32) (result i32)
    (local.set $length (i32.sub (local.get $length) (i32.const 15)))
    (block $ended
      (loop $more
        (br_if $ended (i32.lt_u (local.get $length) (i32.const 255)))
        (i32.store8 (local.get $op) (i32.const 255))
        (local.set $op (i32.add (local.get $op) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.const 255)))
        (br $more)))
    (i32.store8 (local.get $op) (local.get $length))
    (i32.add (local.get $op) (i32.const 1)))

  ;; Writes a token with literals from $from to $to after it; answers where they end.
  (func $literals (param $op i32) (param $from i32) (param $to i32) (result i32)
    (local $length i32) (local $end i32)
    (local.set $length (i32.sub (local.get $to) (local.get $from)))
    (if (i32.ge_u (local.get $length) (i32.const 15))
      (then
        (i32.store8 (local.get $op) (i32.const 0xf0))
        (local.set $op
          (call $rest (i32.add (local.get $op) (i32.const 1)) (local.get $length))))
      (else
        (i32.store8 (local.get $op) (i32.shl (local.get $length) (i32.const 4)))
        (local.set $op (i32.add (local.get $op) (i32.const 1)))))
    (local.set $end (i32.add (local.get $op) (local.get $length)))
    (if (i32.lt_u (local.get $op) (local.get $end)) (then
      (loop $copy
        (v128.store (local.get $op) (v128.load (local.get $from)))
        (local.set $op (i32.add (local.get $op) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br_if $copy (i32.lt_u (local.get $op) (local.get $end))))))
    (local.get $end))

  ;; Encodes the bytes from $base to $end, at most 64 KiB, as one block at $op; $table: 16 KiB to work
  ;; with. Answers where the block ends: at most a 255th and 16 bytes more than went in.
  (func (export "encode")
    (param $base i32) (param $end i32) (param $table i32) (param $op i32) (result i32)
    (local $ip i32) (local $anchor i32) (local $match i32) (local $slot i32) (local $tries i32)
    (local $token i32) (local $at i32) (local $length i32) (local $difference i64)
    ;; The format lets no match begin less than 12 bytes before the end, nor reach into the last 5.
    (local $last_start i32) (local $last_end i32)
    (local.set $last_start (i32.sub (local.get $end) (i32.const 12)))
    (local.set $last_end (i32.sub (local.get $end) (i32.const 5)))
    (memory.fill (local.get $table) (i32.const 0) (i32.const 16384))
    (local.set $anchor (local.get $base))
    (local.set $ip (i32.add (local.get $base) (i32.const 1)))
    (block $ended
      (loop $sequence
        ;; Steps grow by one with each 64 places that have no match.
        (local.set $tries (i32.const 64))
        (block $found
          (loop $search
            (br_if $ended (i32.gt_s (local.get $ip) (local.get $last_start)))
            (local.set $slot (call $slot (local.get $ip) (local.get $table)))
            (local.set $match (i32.add (local.get $base) (i32.load16_u (local.get $slot))))
            (i32.store16 (local.get $slot) (i32.sub (local.get $ip) (local.get $base)))
            (br_if $found
              (i32.eq (i32.load (local.get $match)) (i32.load (local.get $ip))))
            (local.set $ip
              (i32.add (local.get $ip) (i32.shr_u (local.get $tries) (i32.const 6))))
            (local.set $tries (i32.add (local.get $tries) (i32.const 1)))
            (br $search)))

        ;; What stands before it may match as well.
        (block $begun
          (loop $back
            (br_if $begun (i32.eq (local.get $ip) (local.get $anchor)))
            (br_if $begun (i32.eq (local.get $match) (local.get $base)))
            (br_if $begun (i32.ne
              (i32.load8_u (i32.sub (local.get $ip) (i32.const 1)))
              (i32.load8_u (i32.sub (local.get $match) (i32.const 1)))))
            (local.set $ip (i32.sub (local.get $ip) (i32.const 1)))
            (local.set $match (i32.sub (local.get $match) (i32.const 1)))
            (br $back)))

        (loop $matches
          (local.set $token (local.get $op))
          (local.set $op (call $literals (local.get $op) (local.get $anchor) (local.get $ip)))
          (i32.store16 (local.get $op) (i32.sub (local.get $ip) (local.get $match)))
          (local.set $op (i32.add (local.get $op) (i32.const 2)))

          ;; How far it goes.
          (local.set $at (i32.add (local.get $ip) (i32.const 4)))
          (local.set $match (i32.add (local.get $match) (i32.const 4)))
          (block $counted
            (loop $count
              (local.set $difference
                (i64.xor (i64.load (local.get $at)) (i64.load (local.get $match))))
              (if (i64.ne (local.get $difference) (i64.const 0)) (then
                (local.set $at (i32.add (local.get $at)
                  (i32.wrap_i64 (i64.shr_u (i64.ctz (local.get $difference)) (i64.const 3)))))
                (br $counted)))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (local.set $match (i32.add (local.get $match) (i32.const 8)))
              (br_if $count (i32.lt_u (local.get $at) (local.get $last_end)))))
          (if (i32.gt_u (local.get $at) (local.get $last_end))
            (then (local.set $at (local.get $last_end))))
          (local.set $length
            (i32.sub (i32.sub (local.get $at) (local.get $ip)) (i32.const 4)))
          (if (i32.ge_u (local.get $length) (i32.const 15))
            (then
              (i32.store8 (local.get $token)
                (i32.or (i32.load8_u (local.get $token)) (i32.const 15)))
              (local.set $op (call $rest (local.get $op) (local.get $length))))
            (else
              (i32.store8 (local.get $token)
                (i32.or (i32.load8_u (local.get $token)) (local.get $length)))))
          (local.set $ip (local.get $at))
          (local.set $anchor (local.get $at))

          ;; Another one may follow at once.
          (br_if $ended (i32.gt_s (local.get $ip) (local.get $last_start)))
          (local.set $at (i32.sub (local.get $ip) (i32.const 2)))
          (i32.store16
            (call $slot (local.get $at) (local.get $table))
            (i32.sub (local.get $at) (local.get $base)))
          (local.set $slot (call $slot (local.get $ip) (local.get $table)))
          (local.set $match (i32.add (local.get $base) (i32.load16_u (local.get $slot))))
          (i32.store16 (local.get $slot) (i32.sub (local.get $ip) (local.get $base)))
          (br_if $matches
            (i32.eq (i32.load (local.get $match)) (i32.load (local.get $ip)))))
        (local.set $ip (i32.add (local.get $ip) (i32.const 1)))
        (br $sequence)))
    (call $literals (local.get $op) (local.get $anchor) (local.get $end))))
