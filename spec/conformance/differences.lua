-- Where the local server is meant to differ from the recorded facts, and why; by flavour.
-- The table in doc/local-server.md says the same in general.

local LIMITS = "the local server knows no limits of an organization unless it is given some"
local FIRST = "the local server names what is wrong first, not everything"
local RUNNERS = "there are no runners to choose from"
local SOMETIMES = "depends on how long something takes"

local both = {
  ["a/config"] = "there is no SSH gateway",
  ["a/health-ready"] = "the local server is ready when it answers",
  ["a/key-current"] = "the local server does not note when its key was used last",
  ["a/unknown-id GET /toolbox-proxy-url"] = "it is asked for by the id only, as the message says",
  ["a/create name number"] = FIRST, ["a/create volumes str"] = FIRST, ["d/minCpu x"] = FIRST,
  ["d/limit x"] = FIRST, ["d/limit 1.5"] = FIRST,
  ["a/create build cpu 99"] = LIMITS, ["a/create build mem 99"] = LIMITS, ["a/create build disk 99"] = LIMITS,
  ['e/resize started {"cpu": 99}'] = LIMITS, ['e/resize started {"memory": 99}'] = LIMITS,
  ["e/resize down"] = LIMITS .. " (it is still being given 99 cores)",
  ["e/resize memdown"] = LIMITS .. " (it is still being given 99 cores)",
  ["b/resize started"] = "the recorded service had not yet been told to offer it",
  ["c/labels null"] = "an empty table has one form in JSON here",
  ["c/net allow"] = "changes of the network take no time here",
  ["c/net allow empty"] = "changes of the network take no time here",
  ["c/signed abc"] = "what cannot be a number is told as it came",
  ["c/start"] = SOMETIMES, ["d/label num"] = "the service's own mistake is not repeated the other way",
  ["d/classes bad"] = "the parameter is not named",
  ["d/created bad"] = "the words are those of today",
  ["d/x"] = "a cursor that is none is the caller's mistake", ["d/x3"] = "a cursor that is none is the caller's mistake",
  ["e/snap dup name"] = "there are no backups",
  ["g/del none"] = "a snapshot is deleted by its id only, as the message says",
  ["g/get"] = "an image is not looked into for its entrypoint",
  ["g/sandbox from inactive"] = SOMETIMES, ["g/activate"] = SOMETIMES, ["g/delete again"] = SOMETIMES,
  ["g/get removing"] = SOMETIMES, ["g/deact again"] = SOMETIMES,
  ["g/bsnap"] = "nothing is built, so nothing has a reference", ["g/get #3"] = RUNNERS,
  ["g/get id"] = RUNNERS, ["g/get #2"] = RUNNERS, ["g/get gone"] = SOMETIMES,
  ["g/get #4"] = SOMETIMES,
}

local LATER = "a call that came after release 0.190"
local LABELS = "today's answer holds the labels only"

local new = {
  ["a/create gpuType bad"] = "more kinds are known today",
}
for name in ([[a/unknown-id GET /signing-key|a/unknown-id POST /ttl/5|a/unknown-id POST /autopause/5|
a/unknown-id PUT /secrets|c/autopause|c/autopause 0|c/rotate|c/secrets|c/signing-key|c/ttl]]):gmatch "[^|\n]+" do
  new[name] = LATER
end
for name in ("labels,array,bad,empty,none,number,restore,null"):gmatch "%w+" do
  new[name == "labels" and "c/labels" or "c/labels " .. name] = LABELS
end

local function with(more)
  local all = {}
  for name, why in pairs(both) do all[name] = why end
  for name, why in pairs(more) do all[name] = why end
  return all
end

return { legacy = with {}, new = with(new) }
