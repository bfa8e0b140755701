;; CRC-32C (RFC 3720, appendix B.4), eight bytes at a step by eight tables ("slicing by 8", Kounavis and
;; Berry, 2005). The tables take the first 8 KiB of the memory.
(module
  (memory (export "memory") 2)

  (func $tables
    (local $index i32) (local $value i32) (local $bit i32)
    ;; The first: what eight steps of division by the reflected polynomial leave of each byte.
    (loop $bytes
      (local.set $value (local.get $index))
      (local.set $bit (i32.const 8))
      (loop $bits
        (local.set $value (i32.xor
          (i32.shr_u (local.get $value) (i32.const 1))
          (i32.and
            (i32.const 0x82f63b78)
            (i32.sub (i32.const 0) (i32.and (local.get $value) (i32.const 1))))))
        (br_if $bits (local.tee $bit (i32.sub (local.get $bit) (i32.const 1)))))
      (i32.store (i32.shl (local.get $index) (i32.const 2)) (local.get $value))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $bytes (i32.lt_u (local.get $index) (i32.const 256))))
    ;; Each of the others: the one before it, followed by a byte of zeros.
    (loop $others
      (local.set $value
        (i32.load (i32.shl (i32.sub (local.get $index) (i32.const 256)) (i32.const 2))))
      (i32.store
        (i32.shl (local.get $index) (i32.const 2))
        (i32.xor
          (i32.shr_u (local.get $value) (i32.const 8))
          (i32.load (i32.shl (i32.and (local.get $value) (i32.const 255)) (i32.const 2)))))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $others (i32.lt_u (local.get $index) (i32.const 2048)))))
  (start $tables)

  ;; Place in a table of the byte of $bytes that begins at bit $shift.
  (func $place (param $bytes i64) (param $shift i64) (result i32)
    (i32.shl
      (i32.and
        (i32.wrap_i64 (i64.shr_u (local.get $bytes) (local.get $shift)))
        (i32.const 255))
      (i32.const 2)))

  ;; Goes on from $crc over the bytes from $at to $end.
  (func (export "update") (param $crc i32) (param $at i32) (param $end i32) (result i32)
    (local $bytes i64)
    (block $ended
      (loop $eights
        (br_if $ended (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 8)))
        (local.set $bytes
          (i64.xor (i64.load (local.get $at)) (i64.extend_i32_u (local.get $crc))))
        (local.set $crc
          (i32.xor
            (i32.xor
              (i32.xor
                (i32.load offset=7168 (call $place (local.get $bytes) (i64.const 0)))
                (i32.load offset=6144 (call $place (local.get $bytes) (i64.const 8))))
              (i32.xor
                (i32.load offset=5120 (call $place (local.get $bytes) (i64.const 16)))
                (i32.load offset=4096 (call $place (local.get $bytes) (i64.const 24)))))
            (i32.xor
              (i32.xor
                (i32.load offset=3072 (call $place (local.get $bytes) (i64.const 32)))
                (i32.load offset=2048 (call $place (local.get $bytes) (i64.const 40))))
              (i32.xor
                (i32.load offset=1024 (call $place (local.get $bytes) (i64.const 48)))
                (i32.load (call $place (local.get $bytes) (i64.const 56)))))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $eights)))
    (block $done
      (loop $ones
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $crc (i32.xor
          (i32.shr_u (local.get $crc) (i32.const 8))
          (i32.load (i32.shl
            (i32.and
              (i32.xor (local.get $crc) (i32.load8_u (local.get $at)))
              (i32.const 255))
            (i32.const 2)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $ones)))
    (local.get $crc)))
