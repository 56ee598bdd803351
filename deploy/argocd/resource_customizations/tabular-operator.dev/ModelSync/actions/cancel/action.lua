-- Asks for the end of the run that is under way: a new value of the annotation does, whatever it is.

local os = require("os")

if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["tabular-operator.dev/cancel-requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
