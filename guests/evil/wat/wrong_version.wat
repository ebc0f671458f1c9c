;; Made for a version of the contract that no host speaks => loading: config, "is made for etl:transform@9.0.0".
(component
  (component $empty)
  (instance $stage (instantiate $empty))
  (export "etl:transform/stage@9.0.0" (instance $stage)))
