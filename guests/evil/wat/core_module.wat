;; A core module, not a component => loading: config, "is a module, not a component".
(module
  (memory (export "memory") 1)
  (func (export "process")))
