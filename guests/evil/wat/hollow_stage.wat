;; Exports the right interface with nothing in it => loading: config, "does not fit world `transform`".
(component
  (component $empty)
  (instance $stage (instantiate $empty))
  (export "etl:transform/stage@1.0.0" (instance $stage)))
