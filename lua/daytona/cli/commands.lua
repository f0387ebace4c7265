-- The commands: their names, what they take, what they are for, and where they are done.
-- Help, completion and the reading of what is typed are made of this table.

local refusal = require "daytona.base.refusal"

local commands = {}

---An option: its name, the word for its value (false: it has none), what it is for, and a
---letter. SECONDS, MINUTES and N are numbers, "X=Y" may come many times, "X..." too.
---@alias daytona.cli.Option { [1]: string, [2]: string|false, [3]: string, [4]: string? }

---@class daytona.cli.Command
---@field name string     may be two words
---@field group string    the file it is done in
---@field method string   and the function there: of a call; returns the exit status (nil: 0), or nil, err
---@field args string     "BOX [FILE]"; what follows "--" belongs to a program
---@field about string
---@field options? daytona.cli.Option[]
---@field json? boolean   it knows --json
---@field failure? integer  exit status when it fails, 1

local TIMEOUT = { "timeout", "SECONDS", "wait no longer; 0: as long as it takes" }
local NO_WAIT = { "no-wait", false, "do not wait for the end of it" }

local PROGRAM = {
  { "env", "NAME=VALUE", "environment variable" },
  { "timeout", "SECONDS", "end it when that is over (exit status 124); 0: never" },
}

local function program(...)
  local list = { ... }
  for _, option in ipairs(PROGRAM) do list[#list + 1] = option end
  return list
end

local COPYING = {
  { "delete", false, "remove what the other side has not" },
  { "exclude", "PATTERN...", "leave out, as a line of .gitignore" },
  { "checksum", false, "compare contents, not times" },
  { "no-gitignore", false, "also what .gitignore names" },
}

local CREATE = {
  { "name", "NAME", "name; chosen when absent" },
  { "snapshot", "SNAPSHOT", "make it from this snapshot" },
  { "image", "IMAGE", "build it from this image; the log goes to standard error" },
  { "dockerfile", "FILE", "build it from this Dockerfile, with the files that it copies" },
  { "language", "LANGUAGE", "what `run` takes: python, javascript, typescript" },
  { "env", "NAME=VALUE", "environment variable" },
  { "label", "NAME=VALUE", "label" },
  { "volume", "VOLUME:PATH", "mount a volume there" },
  { "secret", "NAME=SECRET", "environment variable of a secret" },
  { "cpu", "N", "cores, of what is built" },
  { "memory", "N", "GiB, of what is built" },
  { "disk", "N", "GiB, of what is built" },
  { "target", "REGION", "region" },
  { "public", false, "previews need no token" },
  { "ephemeral", false, "deleted when it stops" },
  { "auto-stop", "MINUTES", "stop it when unused so long; 0 never" },
  { "auto-delete", "MINUTES", "delete it when stopped so long; negative never" },
  { "ttl", "MINUTES", "delete it then in any case" },
  { "lease", "SECONDS", "when unused so long (60 or more), `reap` may delete it" },
  { "block-network", false, "no network" },
  TIMEOUT, NO_WAIT,
}

---In the order in which help shows them.
---@type daytona.cli.Command[]
commands.list = {
  { name = "create", group = "sandboxes", args = "", about = "make a sandbox; prints its name", json = true,
    options = CREATE },
  { name = "ls", group = "sandboxes", args = "", about = "list sandboxes", json = true, options = {
    { "name", "PREFIX", "whose name begins so" }, { "state", "STATE...", "in this state" },
    { "label", "NAME=VALUE", "with this label" }, { "limit", "N", "so many at most" } } },
  { name = "info", group = "sandboxes", args = "BOX", about = "what is known of a sandbox", json = true },
  { name = "start", group = "sandboxes", args = "BOX...", about = "start sandboxes",
    options = { TIMEOUT, NO_WAIT } },
  { name = "stop", group = "sandboxes", args = "BOX...", about = "stop sandboxes",
    options = { { "force", false, "kill what runs at once" }, TIMEOUT, NO_WAIT } },
  { name = "delete", group = "sandboxes", args = "BOX...", about = "delete sandboxes", options = {
    { "force", false, "also while it is busy" }, { "missing-ok", false, "one that is not there is no failure" },
    { "wait", false, "until it is gone" }, TIMEOUT } },
  { name = "exec", group = "programs", args = "BOX -- COMMAND...", failure = 125,
    about = "run a command, and end as it did; one word is a line of shell",
    options = program({ "cwd", "DIR", "folder to run it in" }, { "no-stdin", false, "give it no input", "n" }) },
  { name = "run", group = "programs", args = "BOX FILE [-- ARGUMENT...]", failure = 125,
    about = "run a local file of code, - for standard input, and end as it did",
    options = program { "language", "LANGUAGE", "python, javascript, typescript; else by the file's name" } },
  { name = "cp", group = "files", args = "FROM TO", json = true,
    about = "copy a file: BOX:PATH is in a sandbox, - is standard input or output",
    options = { { "recursive", false, "a folder and what is in it", "r" } } },
  { name = "sync", group = "files", args = "FROM TO", json = true,
    about = "make a folder like another: BOX:PATH is in a sandbox", options = COPYING },
  { name = "ssh", group = "programs", args = "BOX", failure = 125, json = true,
    about = "a shell at this terminal; Enter ~ . leaves",
    options = { { "print", false, "print how another SSH client gets in instead (as does --json)" },
      { "expires", "SECONDS", "how long that is good; 3600" } } },
  { name = "logs", group = "looking", args = "BOX", about = "what the sandbox's main program printed", options = {
    { "follow", false, "go on until it ends", "f" }, { "build", false, "how its image was built" } } },
  { name = "preview", group = "looking", args = "BOX PORT", json = true, about = "the address of a port in the sandbox",
    options = { { "expires", "SECONDS", "how long it is good; 3600" },
      { "token", false, "one without a limit, and the header that it needs" },
      { "wait", false, "until something listens there" } } },
  { name = "snapshot ls", group = "snapshots", args = "", about = "list snapshots", json = true },
  { name = "snapshot create", group = "snapshots", args = "NAME", json = true,
    about = "make a snapshot; the log goes to standard error", options = {
      { "image", "IMAGE", "of this image" },
      { "dockerfile", "FILE", "of this Dockerfile, with the files that it copies" },
      { "from", "BOX", "of this sandbox" }, { "cpu", "N", "cores" }, { "memory", "N", "GiB" }, { "disk", "N", "GiB" },
      TIMEOUT } },
  { name = "snapshot logs", group = "snapshots", args = "SNAPSHOT", about = "how it was built" },
  { name = "snapshot activate", group = "snapshots", args = "SNAPSHOT...", about = "bring it back" },
  { name = "snapshot deactivate", group = "snapshots", args = "SNAPSHOT...", about = "put it away" },
  { name = "snapshot delete", group = "snapshots", args = "SNAPSHOT...", about = "delete it" },
  { name = "volume ls", group = "volumes", args = "", about = "list volumes", json = true },
  { name = "volume create", group = "volumes", args = "NAME", about = "make a volume", json = true },
  { name = "volume delete", group = "volumes", args = "VOLUME...", about = "delete it, with all that is in it" },
  { name = "leftovers", group = "remains", args = "", json = true,
    about = "list sandboxes that nobody owns any more: of programs that crashed, of leases that are over",
    options = { { "label", "NAME=VALUE", "with this label" } } },
  { name = "reap", group = "remains", args = "", about = "delete these; prints them", json = true, options = {
    { "label", "NAME=VALUE", "with this label" }, { "dry-run", false, "only print them" } } },
  { name = "completion", group = "about", args = "SHELL", about = "print the completion for bash or zsh" },
  { name = "help", group = "about", args = "[COMMAND...]", about = "what a command takes" },
  { name = "version", group = "about", args = "", about = "print the version" },
}

---@type table<string, daytona.cli.Command>
commands.named = {}

-- First words of those that have two.
local families = {}

for _, command in ipairs(commands.list) do
  command.method = command.name:match "%S+$"
  commands.named[command.name] = command
  local family = command.name:match "^(%S+) "
  if family then families[family] = (families[family] and families[family] .. ", " or "") .. command.method end
end

-- "there is no command crate", and what it may be a slip of.
local function unknown(name)
  local names = {}
  for i, command in ipairs(commands.list) do names[i] = command.name end
  return "there is no command " .. name .. refusal.slip(name, names)
end

local SAME = { ["--help"] = "help", ["-h"] = "help", ["--version"] = "version", list = "ls", rm = "delete" }

---The command that a command line begins with, and where what it takes begins; nil, nil and why.
---@param argv string[]
---@return daytona.cli.Command?
---@return integer? first
---@return string? message
function commands.find(argv)
  local name = SAME[argv[1]] or argv[1] or "help"
  if not families[name] then
    if commands.named[name] then return commands.named[name], 2 end
    return nil, nil, unknown(name)
  end
  local both = name .. " " .. (SAME[argv[2]] or argv[2] or "")
  if commands.named[both] then return commands.named[both], 3 end
  if both:find " help$" or both:find " $" then return nil, nil, name .. " is followed by " .. families[name] end
  return nil, nil, unknown(both)
end

return commands
