-- No run starts while the resource is suspended. A run in progress continues.

obj.spec.suspend = true
return obj
