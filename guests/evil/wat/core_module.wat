;; A core module, not a component => loading: config, "is a core WebAssembly module, not a component".
(module
  (memory (export "memory") 1)
  (func (export "process")))
