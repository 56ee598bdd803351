-- No run begins while it is suspended; one that runs goes on.

obj.spec.suspend = true
return obj
