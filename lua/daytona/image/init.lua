-- Images: what a sandbox or a snapshot is built of, as values. Each method returns a new
-- image and leaves its own as it was, so that several can be made from one.
--
-- A text that cannot be meant raises. What is wrong with a file of this machine does not
-- break a chain: the image keeps it, and whoever uses the image gets it as `nil, err`.

local context = require "daytona.image.context"
local core = require "daytona.base.native"
local dockerfile = require "daytona.image.dockerfile"
local errors = require "daytona.base.errors"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local pip = require "daytona.image.pip"
local printable = require "daytona.base.printable"
local shell = require "daytona.base.shell"

---An image: the text of its Dockerfile, and the files of this machine that it copies.
---@class daytona.Image
---@field package text string
---@field package contexts daytona.ImageContext[]
---@field package problem? daytona.Error  the first thing wrong with a file
local Image = { __name = "daytona.Image" }
Image.__index = Image

---What begins an image: `daytona.image`.
---@class daytona.Images
local M = {}

local quote, list_text = dockerfile.quote, dockerfile.list

-- The image that comes of one by more text, further contexts, or a problem.
local function grown(self, text, contexts, problem)
  local all = {}
  for i, one in ipairs(self.contexts) do all[i] = one end
  for _, one in ipairs(contexts or {}) do
    local known = false
    for _, other in ipairs(all) do known = known or other == one end
    if not known then all[#all + 1] = one end
  end
  local before, more = self.text, text or ""
  if more ~= "" and before:find "[^\n]$" then before = before .. "\n" end
  return setmetatable({ text = before .. more, contexts = all, problem = self.problem or problem }, Image)
end

local EMPTY = { text = "", contexts = {} }

--- What may be written ---------------------------------------------------------------------

-- A text of one line: another would be an instruction of its own.
local function line(what)
  return function(value)
    return type(value) == "string" and value ~= "" and not value:find "[%c]", what .. ", on one line"
  end
end

local function one_line(name, value, what)
  return options.argument(name, line(what or "a text"), value)
end

local function lines_only(name, list)
  options.argument(name, "list", list)
  for i = 1, #list do
    if list[i]:find "[%z\1-\8\10-\31\127]" then errors.misuse(1, "%s: item %d must be a text on one line", name, i) end
  end
  return list
end

-- Words given one by one or in lists, as `run_commands("a", { "b" })` has them; the last
-- may be options, which have names.
local function flattened(name, ...)
  local words, opts = {}, nil
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) == "table" and next(value) ~= nil and value[1] == nil then
      opts = value
    elseif type(value) == "table" then
      for _, word in ipairs(options.argument(name, "list", value)) do words[#words + 1] = word end
    else
      words[#words + 1] = options.argument(name, "string", value)
    end
  end
  return lines_only(name, words), opts
end

--- Beginnings ------------------------------------------------------------------------------

---An image of a registry: `daytona.image.base "debian:12"`.
---@param name string
---@return daytona.Image
function M.base(name)
  options.argument("base: the image", function(value)
    return type(value) == "string" and value:find "^[^%s%c]+$" ~= nil, "the name of an image, without white space"
  end, name)
  return grown(EMPTY, "FROM " .. name .. "\n")
end

local PYTHONS = { ["3.9"] = "22", ["3.10"] = "17", ["3.11"] = "12", ["3.12"] = "10", ["3.13"] = "3" }

local TOOLS = "RUN apt-get update\nRUN apt-get install -y gcc gfortran build-essential\n"
  .. "RUN pip install --upgrade pip\n"
  .. "RUN echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections\n"

---Debian with Python and a compiler. A series gets the version of it that the service's
---other clients choose.
---@param version? string  "3.9" to "3.13", or one of these in full, "3.12.1"; "3.13" when absent
---@return daytona.Image
function M.debian_slim(version)
  version = options.argument("debian_slim: the version of Python", "text", version or "3.13")
  local series = version:match "^(3%.%d%d?)$" or version:match "^(3%.%d%d?)%.%d%d?$"
    or version:match "^(3%.%d%d?)%.%d%d?rc%d%d?$"
  if not PYTHONS[series] then
    errors.misuse(1, "debian_slim: no Python '%s'; there are 3.9, 3.10, 3.11, 3.12 and 3.13", version)
  end
  local full = series == version and series .. "." .. PYTHONS[series] or version
  return grown(EMPTY, "FROM python:" .. full .. "-slim-bookworm\n" .. TOOLS)
end

local STRICT = { strict_context = "boolean", max_bytes = "positive" }

-- The contexts of what a text copies from a folder; nil, err.
local function copied(text, folder, opts, rules)
  return context.list(folder, dockerfile.sources(text), opts, rules)
end

-- The rules beside a Dockerfile: its own, or those of its folder.
local function rules_beside(folder, name)
  local own = name .. ".dockerignore"
  return context.rules(folder == "" and "." or folder, nil, core.stat(context.join(folder, own)) and own or nil)
end

---The image of a Dockerfile. What it copies is relative to its folder; a .dockerignore
---there is heeded. The text is passed on as it is.
---@param path string
---@param opts? { strict_context?: boolean, max_bytes?: integer }  strict_context: true; else what lies outside of the folder may be copied
---@return daytona.Image
function M.from_dockerfile(path, opts)
  options.argument("from_dockerfile: the path", "text", path)
  opts = options.check("from_dockerfile", STRICT, opts)
  local text, err = pip.read(path, "Dockerfile")
  if not text then return grown(EMPTY, "", nil, err) end
  local folder, name = path:match "^(.*)/([^/]*)$"
  if folder == "" then folder = "/" end
  folder, name = folder or "", name or path
  local contexts
  contexts, err = copied(text, folder, opts, rules_beside(folder, name))
  return grown(EMPTY, text, contexts, err)
end

--- Packages --------------------------------------------------------------------------------

---Installs Python packages: `image:pip_install { "pandas", "numpy>=1.0" }`.
---@param ... string|string[]|daytona.PipOptions  packages, in any number and order; then options
---@return daytona.Image
function Image:pip_install(...)
  local packages, opts = flattened("pip_install: the packages", ...)
  opts = options.check("pip_install", pip.OPTIONS, opts)
  return grown(self, pip.install(packages, opts))
end

local REQUIREMENTS_PLACE = "/.requirements.txt"

---Installs what a file of requirements lists.
---@param path string
---@param opts? daytona.PipOptions
---@return daytona.Image
function Image:pip_install_from_requirements(path, opts)
  options.argument("pip_install_from_requirements: the path", "text", path)
  opts = options.check("pip_install_from_requirements", pip.OPTIONS, opts)
  local text, err = pip.read(path, "Requirements file")
  if not text then return grown(self, "", nil, err) end
  local one = context.of(self.contexts, path, {})
  return grown(self, "COPY " .. list_text { one.path, REQUIREMENTS_PLACE } .. "\n"
    .. "RUN python -m pip install -r " .. REQUIREMENTS_PLACE .. pip.options(opts) .. "\n", { one })
end

---Installs what a pyproject.toml depends on, as of now.
---@param path string
---@param groups? string[]  of its optional dependencies; one that is not there is none
---@param opts? daytona.PipOptions
---@return daytona.Image
function Image:pip_install_from_pyproject(path, groups, opts)
  options.argument("pip_install_from_pyproject: the path", "text", path)
  options.argument("pip_install_from_pyproject: the groups", "list", groups or {})
  opts = options.check("pip_install_from_pyproject", pip.OPTIONS, opts)
  local packages, err = pip.of_project(path, groups or {})
  if not packages then return grown(self, "", nil, err) end
  return grown(self, pip.install(lines_only("pip_install_from_pyproject: the packages", packages), opts))
end

---Installs packages of Debian.
---@param ... string|string[]
---@return daytona.Image
function Image:apt_install(...)
  local packages = flattened("apt_install: the packages", ...)
  if not packages[1] then return self end
  local words = {}
  for i, name in ipairs(packages) do words[i] = quote(name) end
  return grown(self, "RUN apt-get update && apt-get install -y " .. table.concat(words, " ")
    .. " && rm -rf /var/lib/apt/lists/*\n")
end

--- Files -----------------------------------------------------------------------------------

local ADD = { ignore = "list", max_bytes = "positive", strict_context = "boolean" }

local function added(self, operation, source, target, opts)
  local known = options.check(operation, ADD, opts)
  local one = context.of(self.contexts, source, {
    folder = operation == "add_local_dir", ignore = known.ignore, max_bytes = known.max_bytes,
    strict_context = known.strict_context,
  })
  return grown(self, "COPY " .. list_text { one.path, target } .. "\n", { one })
end

-- An error where a path is not of that type.
local function flaw_of(source, wanted, target)
  local kind = core.stat(source)
  if not kind then
    local swapped = core.stat(target) == wanted
    return context.error("not_found", source, ("Local %s %s does not exist%s"):format(wanted, source,
      swapped and " (the path on this machine comes first, then that in the image)" or ""))
  end
  if kind == wanted then return nil end
  return context.error("invalid", source, ("Local path %s exists but is not a %s"):format(source, wanted))
end

---Copies a file of this machine, as it is when the image is built.
---@param path string
---@param target string  inside the image; with "/" at its end the name is added
---@param opts? { max_bytes?: integer }
---@return daytona.Image
function Image:add_local_file(path, target, opts)
  options.argument("add_local_file: the path", "text", path)
  one_line("add_local_file: the target", target, "a path")
  local problem = flaw_of(path, "file", target)
  if problem then return grown(self, "", nil, problem) end
  if target:sub(-1) == "/" then target = target .. path:match "[^/]*$" end
  return added(self, "add_local_file", path, target, opts)
end

---Copies what is in a folder of this machine, as it is when the image is built: what
---its .dockerignore and `ignore` leave out does not go. Links are followed; one that leads
---out of the folder is refused, unless strict_context is false. More than `max_bytes`
---(2 GiB) is kind "too_large".
---@param path string
---@param target string  inside the image
---@param opts? { ignore?: string[], max_bytes?: integer, strict_context?: boolean }  ignore: patterns, as lines of a .dockerignore
---@return daytona.Image
function Image:add_local_dir(path, target, opts)
  options.argument("add_local_dir: the path", "text", path)
  one_line("add_local_dir: the target", target, "a path")
  local problem = flaw_of(path, "directory", target)
  if problem then return grown(self, "", nil, problem) end
  return added(self, "add_local_dir", path, target, opts)
end

local COPY = { from = line "the name of an image or a stage", chown = line "a user", chmod = line "a mode" }

---Copies from another image, or a stage of this one's Dockerfile. What is on this machine is
---copied by add_local_file and add_local_dir.
---@param source string
---@param target string
---@param opts { from: string, chown?: string, chmod?: string }
---@return daytona.Image
function Image:copy(source, target, opts)
  one_line("copy: the source", source, "a path")
  one_line("copy: the target", target, "a path")
  opts = options.check("copy", COPY, opts)
  if not opts.from then errors.misuse(1, "copy: option 'from' is needed; files of this machine: add_local_file") end
  local flags = ""
  for _, name in ipairs { "from", "chown", "chmod" } do
    if opts[name] then flags = flags .. "--" .. name .. "=" .. opts[name] .. " " end
  end
  return grown(self, "COPY " .. flags .. list_text { source, target } .. "\n")
end

--- Instructions ----------------------------------------------------------------------------

-- The text of one command. A line end must be continued, or be part of a here-document.
local function command_text(command, i)
  if type(command) == "table" then
    return dockerfile.double_quoted(lines_only("run_commands: command " .. i, command))
  end
  options.argument("run_commands: command " .. i, "text", command)
  local plain = command:gsub("\\[ \t]*\n", "")
  if plain:find "[%z\r]" or plain:find "\n" and not plain:find "<<" then
    errors.misuse(1, "run_commands: command %d has several lines; end them with '\\', or give several commands", i)
  end
  return command
end

---Runs commands of the shell while the image is built, each in a layer of its own. A list is
---one command of its words in double quotes, as the service's other clients write it; `run`
---takes words as they are.
---@param ... string|string[]
---@return daytona.Image
function Image:run_commands(...)
  local out = {}
  for i = 1, select("#", ...) do out[i] = "RUN " .. command_text((select(i, ...)), i) .. "\n" end
  return grown(self, table.concat(out))
end

---Runs one program while the image is built, with exactly these arguments and no shell.
---@param argv string[]
---@return daytona.Image
function Image:run(argv)
  options.argument("run: the program and its arguments", "list", argv)
  return grown(self, "RUN " .. list_text(argv) .. "\n")
end

---Environment variables of what runs in the image, in order of name.
---@param variables table<string, string>
---@return daytona.Image
function Image:env(variables)
  options.argument("env: the variables", "map", variables)
  local names, out = {}, {}
  for name in pairs(variables) do names[#names + 1] = name end
  table.sort(names, dockerfile.before)
  for i, name in ipairs(names) do
    if not shell.is_name(name) then errors.misuse(1, "env: '%s' cannot be the name of a variable", name) end
    if variables[name]:find "[%z\r\n]" then errors.misuse(1, "env: the value of '%s' must be on one line", name) end
    out[i] = "ENV " .. name .. "=" .. quote(variables[name]) .. "\n"
  end
  return grown(self, table.concat(out))
end

---The folder that what follows, and the image, works in.
---@param path string
---@return daytona.Image
function Image:workdir(path)
  return grown(self, "WORKDIR " .. quote(one_line("workdir: the path", path, "a path")) .. "\n")
end

---The user that what follows, and the image, runs as.
---@param name string
---@return daytona.Image
function Image:user(name)
  return grown(self, "USER " .. one_line("user: the name", name) .. "\n")
end

---Labels of the image, in order of name.
---@param labels table<string, string>
---@return daytona.Image
function Image:label(labels)
  options.argument("label: the labels", "map", labels)
  local names, out = {}, {}
  for name in pairs(labels) do names[#names + 1] = one_line("label: a name", name) end
  table.sort(names, dockerfile.before)
  for i, name in ipairs(names) do
    if labels[name]:find "[%z\r\n]" then errors.misuse(1, "label: the value of '%s' must be on one line", name) end
    out[i] = "LABEL " .. quote(name) .. "=" .. quote(labels[name]) .. "\n"
  end
  return grown(self, table.concat(out))
end

---Says that the image serves these ports.
---@param ... integer|string  numbers, or their digits
---@return daytona.Image
function Image:expose(...)
  local ports = {}
  for i = 1, select("#", ...) do
    ports[i] = ("%d"):format(options.port("expose: port " .. i, (select(i, ...))))
  end
  return grown(self, ports[1] and "EXPOSE " .. table.concat(ports, " ") .. "\n" or "")
end

---What starts with the image.
---@param argv string[]
---@return daytona.Image
function Image:entrypoint(argv)
  return grown(self, "ENTRYPOINT " .. list_text(options.argument("entrypoint: the words", "list", argv)) .. "\n")
end

---The arguments of what starts with the image, or that itself.
---@param argv string[]
---@return daytona.Image
function Image:cmd(argv)
  return grown(self, "CMD " .. list_text(options.argument("cmd: the words", "list", argv)) .. "\n")
end

local COMMANDS = { context_dir = "text", strict_context = "boolean", max_bytes = "positive" }

---Further lines of a Dockerfile, as they are. What they copy is relative to `context_dir`,
---whose .dockerignore is heeded.
---@param lines string[]
---@param opts? { context_dir?: string, strict_context?: boolean, max_bytes?: integer }  strict_context: true; else what lies outside of the folder may be copied
---@return daytona.Image
function Image:dockerfile_commands(lines, opts)
  options.argument("dockerfile_commands: the lines", "list", lines)
  opts = options.check("dockerfile_commands", COMMANDS, opts)
  local folder, text = opts.context_dir, table.concat(lines, "\n") .. "\n"
  if not folder and opts.strict_context then
    errors.misuse(1, "dockerfile_commands: strict_context requires context_dir, the folder that is not to be left")
  elseif folder and core.stat(folder) ~= "directory" then
    local message = ("Context directory %s does not exist"):format(folder)
    return grown(self, "", nil, context.error("not_found", folder, message))
  elseif not folder and opts.strict_context == nil and dockerfile.sources(text)[1] then
    errors.misuse(1, "dockerfile_commands: option 'context_dir' is needed: these lines copy files of this machine")
  end
  local contexts, err = copied(text, folder or "", opts, rules_beside(folder or "", "Dockerfile"))
  return grown(self, text, contexts, err)
end

--- What it is ------------------------------------------------------------------------------

---The text of its Dockerfile; nil, err when a file that it was to be made of is missing or
---not what it should be.
---@return string?
---@return daytona.Error?
function Image:dockerfile()
  if self.problem then return nil, self.problem end
  return self.text
end

---The files and folders of this machine that it copies: where they are, and their paths in
---the build.
---@return { source: string, path: string }[]
function Image:local_files()
  local out = {}
  for i, one in ipairs(self.contexts) do out[i] = { source = one.source, path = one.path } end
  return out
end

---Packs and hands over the files that it copies, those that are not there yet, for a
---builder. Their names there, in order; nil, err.
---@param store daytona.ObjectStore
---@return string[]?
---@return daytona.Error?
function Image:upload(store)
  local hashes = {}
  for i, one in ipairs(self.contexts) do
    local archive, err = require("daytona.image.archive").pack(one)
    if not archive then return nil, err end
    local key = archive.hash .. "/context.tar"
    local there
    there, err = store:has(key)
    if there == false then there, err = store:put(key, archive) end
    archive:close()
    if not there then
      err.what = err.what or one.source
      return nil, err
    end
    hashes[i] = archive.hash
  end
  return hashes
end

---"daytona image (FROM debian:12, 3 more lines, 1 local)"
---@private
function Image:__tostring()
  local first, rest = self.text:match "^([^\n]*)\n?(.*)$"
  local _, more = rest:gsub("\n", "")
  return ("daytona image (%s, %d more lines, %d local)"):format(printable.text(first), more, #self.contexts)
end

---Whether a value is an image.
---@param value any
---@return boolean
function M.is(value)
  return getmetatable(value) == Image
end

methods.guard(Image, "daytona.Image", "image")
setmetatable(M, { __index = methods.elsewhere("daytona.Images", "daytona.image") })

return M
