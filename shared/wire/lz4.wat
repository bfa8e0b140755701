;; LZ4 blocks (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md), decoded within one memory.
;; Copies run on to the next 16 bytes: 16 bytes behind both regions belong to them.
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
    (unreachable)))
