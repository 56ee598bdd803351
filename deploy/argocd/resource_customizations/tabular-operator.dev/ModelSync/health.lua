-- The health of a resource, from its conditions (docs/reference/states.md).
-- A resource is not Healthy while a newer request or a newer generation is not handled.

if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "waiting for the operator to observe this generation"}
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local ready = conditions["Ready"] or {status = "Unknown", reason = "", message = "waiting for the operator"}

local function is(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

if is("Reconciling") then
  return {status = "Progressing", message = ready.message}
end
if is("Stalled") then
  return {status = "Degraded", message = ready.reason .. ": " .. ready.message}
end
if ready.reason == "Suspended" or obj.spec.suspend == true then
  return {status = "Suspended", message = ready.message}
end

local annotations = obj.metadata.annotations or {}
local requested = annotations["tabular-operator.dev/run-requested-at"]
local handled = obj.status.lastHandledRequest or ""
-- The operator records a long value, or one with a line break, as its digest, which a script cannot calculate.
local isDigest = handled >= "sha256:" and handled < "sha256;"
if requested ~= nil and requested ~= handled and not isDigest then
  return {status = "Progressing", message = "a run was requested (" .. requested .. ")"}
end

if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
return {status = "Progressing", message = ready.message}
