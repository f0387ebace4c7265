-- The simulated image build: a Dockerfile is read and its steps are logged, and
-- nothing is installed; the log says so. What the Dockerfile says to start is
-- started, though. It knows no sandboxes.

local httpd = require "daytona.devserver.http"
local files = require "daytona.devserver.control.files"
local sandboxes = require "daytona.devserver.control.sandboxes"
local json = require "daytona.devserver.http.json"

local build = {}

local STEP = 0.02   -- seconds an instruction takes, on the service's clock

local KNOWN = {}
for word in ([[FROM RUN COPY ADD ENV WORKDIR USER CMD ENTRYPOINT EXPOSE LABEL ARG VOLUME SHELL
  HEALTHCHECK STOPSIGNAL ONBUILD MAINTAINER]]):gmatch("%S+") do KNOWN[word] = true end

---The instructions of a Dockerfile, continued lines joined.
---@param text string
---@return string[]? instructions, string? message
function build.parse(text)
  local list, pending = {}, nil
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    if not line:find("^%s*#") and (pending or line:find("%S")) then
      local continued = line:match("^(.-)%s*\\%s*$")
      pending = (pending and pending .. " " or "") .. (continued or line):match("^%s*(.-)%s*$")
      if not continued then
        list[#list + 1] = pending
        pending = nil
      end
    end
  end
  if pending then list[#list + 1] = pending end
  for _, instruction in ipairs(list) do
    local word = instruction:match("^(%a+)%s") or instruction
    if not KNOWN[word:upper()] then return nil, "unknown instruction: " .. word end
  end
  local first = list[1] and list[1]:upper()
  if not first or not (first:find("^FROM%s") or first:find("^ARG%s")) then
    return nil, "no build stage in current context"
  end
  return list
end

-- The words of an instruction in JSON form; nil of one in shell form.
local function words_of(text)
  local list = text:find("^%[") and json.decode(text)
  if type(list) ~= "table" then return nil end
  for _, word in ipairs(list) do
    if type(word) ~= "string" then return nil end
  end
  return list
end

local function script_of(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = word:find("^[%w@%%+=:,./_-]+$") and word or "'" .. word:gsub("'", "'\\''") .. "'"
  end
  return table.concat(quoted, " ")
end

-- The last ENTRYPOINT and CMD of the last stage.
local function last_of(list)
  local last = {}
  for _, instruction in ipairs(list) do
    local word, rest = instruction:match("^(%a+)%s+(.*)$")
    word = word and word:upper()
    if word == "FROM" then last = {} end
    if word == "ENTRYPOINT" or word == "CMD" then last[word] = rest end
  end
  return last.ENTRYPOINT, last.CMD
end

---What a Dockerfile says to start, as shell text: ENTRYPOINT, with CMD as its
---arguments, or CMD alone. nil when it says nothing.
---@param list string[]  its instructions
---@return string?
function build.entrypoint(list)
  local entrypoint, command = last_of(list)
  local words = entrypoint and words_of(entrypoint)
  if entrypoint and not words then return entrypoint end
  local more = command and words_of(command)
  if not words or #words == 0 then return more and more[1] and script_of(more) or not more and command or nil end
  more = more or command and { "/bin/sh", "-c", command } or {}
  for _, word in ipairs(more) do words[#words + 1] = word end
  return script_of(words)
end

---A new name for what is built.
---@return string
function build.reference()
  return ("daytona-local-build-%s:latest"):format(sandboxes.token(6))
end

---The record of a build, as the service publishes it.
---@param info table  dockerfileContent, contextHashes
---@param now number
---@param reference string
function build.record(info, now, reference)
  return {
    dockerfileContent = info.dockerfileContent, contextHashes = info.contextHashes,
    createdAt = httpd.timestamp(now), updatedAt = httpd.timestamp(now),
    snapshotRef = reference,
  }
end

---Goes through the motions and writes <folder>/build.log as it goes.
---@param clock table
---@param folder string
---@param info table
---@return boolean? ok, string? message
function build.run(clock, folder, info)
  files.mkdir(folder)
  local log, why = io.open(folder .. "/build.log", "wb")
  if not log then return nil, why end
  log:setvbuf("no")
  log:write("simulated build: nothing is installed by the local server\n")
  local list, message = build.parse(info.dockerfileContent or "")
  if not list then
    log:write("error: ", message, "\n")
    log:close()
    return nil, "Build failed: " .. message
  end
  for i, instruction in ipairs(list) do
    log:write(("Step %d/%d : %s\n"):format(i, #list, instruction))
    clock:sleep(STEP)
  end
  if build.entrypoint(list) then log:write("what ENTRYPOINT and CMD say is run when the sandbox starts\n") end
  log:write("simulated build finished\n")
  log:close()
  return true
end

---The words of the last ENTRYPOINT, as the service keeps them.
---@param list string[]
---@return string[]
function build.entrypoint_words(list)
  local entrypoint = last_of(list)
  if not entrypoint then return { "sleep", "infinity" } end
  return words_of(entrypoint) or { "sh", "-c", entrypoint }
end

---What a Dockerfile or a snapshot's words say to start, as shell text; nil: nothing.
---@param box table
---@return string?
function build.start_of(box)
  local list = box.build_info and build.parse(box.build_info.dockerfileContent or "")
  return list and build.entrypoint(list)
end

return build
