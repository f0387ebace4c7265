-- What Neovim's `:checkhealth daytona` says: whether everything that a call needs
-- is there. It shows no credential, and changes nothing.

local health = {}

-- Seconds that the server may take to answer; the editor waits for it.
local PATIENCE = 5

-- Neovim has renamed these functions in 0.10.
local function reporter()
  local found = vim.health or require "health"
  return {
    start = found.start or found.report_start, ok = found.ok or found.report_ok,
    warn = found.warn or found.report_warn, error = found.error or found.report_error,
    info = found.info or found.report_info,
  }
end

local function check_lua(say)
  if rawget(_G, "jit") then
    say.ok("Lua: " .. rawget(_G, "jit").version .. " (the ABI of Lua 5.1)")
  else
    say.warn("Lua: " .. _VERSION .. " without LuaJIT", {
      "Here a task cannot wait inside pcall or a metamethod; a Neovim with LuaJIT can.",
    })
  end
end

-- The file the C module came from, as far as the searchers tell.
local function origin(core)
  local path = package.searchpath and package.searchpath("daytona.core", package.cpath)
  return core.path or path or "package.loaded"
end

-- The C module, or nil after saying what is wrong with it.
local function check_core(say)
  local found, core = pcall(require, "daytona.base.native")
  if not found then
    say.error("the C module is missing", vim.split(tostring(core), "\n"))
    return nil
  end
  say.ok("C module: " .. origin(core))
  return core
end

local OLDEST = { 7, 81 }

local function is_older(major, minor)
  return major < OLDEST[1] or (major == OLDEST[1] and minor < OLDEST[2])
end

local function check_curl(say, core)
  local version = core.curl_version()
  local major, minor = version:match("libcurl/(%d+)%.(%d+)")
  if not major or is_older(tonumber(major), tonumber(minor)) then
    return say.error(version .. " is too old: 7.81 or newer is needed")
  end
  if version:find("without TLS", 1, true) then
    return say.error(version .. ": the service cannot be reached without TLS")
  end
  say.ok(version)
end

local function check_json(say)
  if pcall(require, "cjson") then
    say.ok("JSON: lua-cjson")
  elseif vim.json then
    say.ok("JSON: vim.json")
  else
    say.error("JSON: neither lua-cjson nor vim.json is there")
  end
end

local function check_driver(say, daytona)
  local name, why = daytona.driver()
  local text = ("driver: %s (%s)"):format(name, why)
  if name == "uv" then return say.ok(text) end
  say.warn(text, { 'Calls will block the editor: remove daytona.use, or say daytona.use "uv".' })
end

-- The client of the environment, or nil after saying why there is none.
local function check_credentials(say, daytona)
  local client, err = daytona.client()
  if not client then
    say.warn("credentials: " .. err.message, {
      "export DAYTONA_API_KEY=... before Neovim starts, or pass api_key to daytona.new.",
    })
    return nil
  end
  say.ok("credentials: present")
  return client
end

local function check_server(say, daytona, client)
  local started = daytona.spawn(client.ping, client)
  local answered, err = started:wait(PATIENCE)
  started:cancel()
  if answered then return say.ok("server: " .. client.api_url .. " answers") end
  say.error("server: " .. client.api_url .. ": " .. tostring(err))
end

---Checks what the editor needs to use sandboxes, and reports it.
function health.check()
  local say = reporter()
  say.start("daytona")
  check_lua(say)
  local core = check_core(say)
  if not core then return end
  local daytona = require "daytona"
  say.info("version " .. daytona.version)
  check_curl(say, core)
  check_json(say)
  check_driver(say, daytona)
  local client = check_credentials(say, daytona)
  if client then check_server(say, daytona, client) end
end

return health
