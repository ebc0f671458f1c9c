;; Uses shared memory, which is switched off => loading: config, does not compile.
(component
  (core module $m (memory 1 2 shared)
    (func (export "wait") (result i32) (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
  (core instance (instantiate $m))
  (component $empty)
  (instance $stage (instantiate $empty))
  (export "etl:transform/stage@1.0.0" (instance $stage)))
