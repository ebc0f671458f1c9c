;; Uses a 64-bit memory, which is switched off => loading: config, does not compile.
(component
  (core module $m (memory i64 1))
  (core instance (instantiate $m))
  (component $empty)
  (instance $stage (instantiate $empty))
  (export "etl:transform/stage@1.0.0" (instance $stage)))
