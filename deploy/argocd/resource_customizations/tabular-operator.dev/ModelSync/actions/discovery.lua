-- What can be done: nothing to what is being deleted, and no run while it is suspended.

local deleted = obj.metadata.deletionTimestamp ~= nil
local suspended = obj.spec.suspend == true

return {
  ["run-now"] = {["disabled"] = deleted or suspended},
  ["suspend"] = {["disabled"] = deleted or suspended},
  ["resume"] = {["disabled"] = deleted or not suspended},
}
