;; A component of another world => loading: config, "is no transform: it exports `wasi:cli/run@0.2.0`".
(component
  (component $empty)
  (instance $run (instantiate $empty))
  (export "wasi:cli/run@0.2.0" (instance $run)))
