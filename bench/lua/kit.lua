-- The agent kit: CPU of a tool's call beside that of its bare command, of a step of the
-- agent's loop (a reply with a call, streamed, and its result sent back), and bytes of the
-- definitions that every request of a model carries.
--
--   kit.lua API_URL N

local daytona = require "daytona"
local shape = require "daytona.agent.shape"

local n, server = tonumber(arg[2]), arg[1]:gsub("/api$", "")
local client = daytona.new { api_url = arg[1], api_key = "bench" }
local sandbox = assert(client:get "bench")
local tools = daytona.tools("operations", { client = client })

-- Seconds of CPU of one, after some that open the connection.
local function each(count, fn)
  for _ = 1, 20 do fn() end
  local begun = os.clock()
  for _ = 1, count do fn() end
  return (os.clock() - begun) / count
end

local function command() assert(sandbox:exec("uname -a").exit_code == 0) end

local execute = '{"sandboxId":"bench","command":"uname -a"}'
local function call() assert(tools:call("daytona_execute_command", execute).ok) end

-- The model of nginx calls `tick` with every reply, so that the limit ends each run.
local tick = { name = "tick", description = "Nothing.", input = shape.object { { "n", shape.integer() } },
  run = function() return {}, { text = "ticked" } end }

local STEPS = 20

local function steps()
  local agent = assert(daytona.agent { driver = "responses", base_url = server .. "/model", model = "canned",
    tools = { tick }, limits = { steps = STEPS }, client = client })
  local _, event = agent:send "go"
  assert(event.reason == "limit" and event.steps == STEPS, tostring(event))
  agent:close()
end

local bare, called, stepped = each(n, command), each(n, call), each(math.ceil(n / STEPS), steps) / STEPS
print(('{"bare":%.9f,"call":%.9f,"step":%.9f,"operations":%d,"coding":%d}'):format(bare, called, stepped,
  #tools:definitions_json "openai", #daytona.tools("coding", { client = client }):definitions_json "openai"))
