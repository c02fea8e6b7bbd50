;; A partitioner that describes itself by the LENGTH bytes at POINTER; TEXT lies at 1024.
(component
  (import "folkmoot:plugin/data@0.1.0" (instance $data
    (export "dataset" (type (sub resource)))
  ))
  (alias export $data "dataset" (type $dataset))
  (core module $m
    (memory (export "memory") 8)
    (data (i32.const 1024) "TEXT")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
    (func (export "describe") (result i32)
      (i32.store (i32.const 16) (i32.const POINTER))
      (i32.store (i32.const 20) (i32.const LENGTH))
      i32.const 16)
    (func (export "partition") (param i32 i32 i32 i32) (result i32) i32.const 32))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "realloc" (core func $realloc))
  (alias core export $i "describe" (core func $core_describe))
  (alias core export $i "partition" (core func $core_partition))
  (func $describe (result string)
    (canon lift (core func $core_describe) (memory $memory) (realloc $realloc)))
  (func $partition (param "settings" string) (param "data" (borrow $dataset)) (param "clients" u32)
    (result (result (list (list u32)) (error string)))
    (canon lift (core func $core_partition) (memory $memory) (realloc $realloc)))
  (instance $partitioner
    (export "describe" (func $describe))
    (export "partition" (func $partition)))
  (export "folkmoot:plugin/partitioner@0.1.0" (instance $partitioner)))
