rockspec_format = "3.0"
package = "daytona"
version = "scm-1"

source = {
  url = "git+https://github.com/daytona/daytona-lua.git",
}

description = {
  summary = "Create and drive Daytona cloud sandboxes",
  detailed = [[
    Isolated Linux computers in which AI-generated code runs safely: commands, code, files,
    git and more, blocking or in a coroutine, many at once in one thread. A C core on libcurl
    and a thin layer of Lua.]],
  license = "MIT",
  labels = { "daytona", "sandbox", "http", "async" },
}

supported_platforms = { "unix" }

dependencies = {
  "lua >= 5.1, < 5.5",
  "lua-cjson >= 2.1.0",
}

-- The libraries, not the headers: on multiarch systems these are where LuaRocks
-- does not look and the compiler does.
external_dependencies = {
  CURL = { library = "curl" },
}

-- `modules` is written by scripts/rockspec; a spec checks that it is the tree.
build = {
  type = "builtin",
  modules = {
    ["daytona.core"] = {
      sources = {
      },
      libraries = { "curl" },
      incdirs = { "src", "$(CURL_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)" },
    },
    ["daytona.base64"] = "lua/daytona/base64.lua",
    ["daytona.config"] = "lua/daytona/config.lua",
    ["daytona.errors"] = "lua/daytona/errors.lua",
    ["daytona.json"] = "lua/daytona/json.lua",
    ["daytona.options"] = "lua/daytona/options.lua",
    ["daytona.redact"] = "lua/daytona/redact.lua",
    ["daytona.shell"] = "lua/daytona/shell.lua",
    ["daytona.url"] = "lua/daytona/url.lua",
    ["daytona.wire"] = "lua/daytona/wire.lua",
  },
  install = { bin = { "bin/daytona-devserver" } },
}

test = {
  type = "command",
  command = "make test",
}
