-- Every path returns a status: Argo CD takes nothing, {} and "Missing" for success, and would no longer wait.
local hs = { status = "Progressing", message = "Waiting for Transship to look at the request" }
local status = obj.status
if status == nil or status.conditions == nil then
  return hs
end

if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waiting for Transship to look at the changed request"
  return hs
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local ready, stalled = conditions.Ready, conditions.Stalled

if ready ~= nil and ready.status == "True" then
  hs.status = "Healthy"
  hs.message = ready.message or "Promoted"
  return hs
end

if stalled ~= nil and stalled.status == "True" then
  hs.status = "Degraded"
  hs.message = (stalled.reason or "Stalled") .. ": " .. (stalled.message or "see the conditions of the request")
  return hs
end

if obj.spec ~= nil and obj.spec.suspend == true then
  hs.status = "Suspended"
  hs.message = "spec.suspend is true; set it to false to go on"
  return hs
end

if ready ~= nil and ready.message ~= nil and ready.message ~= "" then
  hs.message = ready.message
end
return hs
