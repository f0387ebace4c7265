-- The simulated image build: a Dockerfile is read and its steps are logged, and
-- nothing is installed; the log says so. It knows no sandboxes.

local httpd = require "daytona.devserver.httpd"
local files = require "daytona.devserver.control.files"

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
function build.run(clock, folder, info)
  files.mkdir(folder)
  local log = assert(io.open(folder .. "/build.log", "wb"))
  log:setvbuf("no")
  log:write("simulated build: nothing is installed by the local server\n")
  local list = build.parse(info.dockerfileContent)
  for i, instruction in ipairs(list) do
    log:write(("Step %d/%d : %s\n"):format(i, #list, instruction))
    clock:sleep(STEP)
  end
  log:write("simulated build finished\n")
  log:close()
end

return build
