-- The client runs on every Lua, the local server on LuaJIT alone.
std = "min"
max_line_length = 120
max_comment_line_length = false -- annotations do not wrap
exclude_files = { "build", "bench/peers", "interop/node_modules" }

-- What only some Luas and hosts have; the client looks before it uses them.
read_globals = {
  "jit", "unpack", "utf8", "vim", "ngx", "love",
  table = { fields = { "pack", "unpack" } },
  math = { fields = { "type", "tointeger" } },
  coroutine = { fields = { "isyieldable", "close" } },
}

files["lua/daytona/meta"] = { ignore = { "212", "241" } }  -- declarations only
files["lua/daytona/base/compat.lua"] = { std = "max" }
files["lua/daytona/devserver"] = { std = "luajit" }
files["lua/daytona/init.lua"] = { ignore = { "511" } } -- for editors only
files["lua/daytona/health.lua"] = { std = "luajit" } -- Neovim's
files["lua/daytona/devserver/init.lua"] = { std = "min" }
files["spec"] = { std = "max+busted" }
files["examples"] = { std = "lua54" }
files["examples/love"] = { std = "luajit+love", globals = { "love" } }
files["examples/love_agent"] = { std = "luajit+love", globals = { "love" } }
files["examples/neovim"] = { std = "luajit", globals = { "vim" } }
files["examples/openresty"] = { std = "ngx_lua", globals = { "ngx" } }
files["bench"] = { std = "max" }
files["scripts"] = { std = "max" }
files["*.rockspec"] = { std = "+rockspec" }
