-- The client runs on every Lua, the local server on LuaJIT alone.
std = "min"
max_line_length = 100
max_comment_line_length = false -- annotations do not wrap
unused_args = true
exclude_files = { "build", "bench/peers", "interop/node_modules" }

files["lua/daytona/meta"] = { ignore = { "212", "241" } }  -- declarations only
files["lua/daytona/devserver"] = { std = "luajit" }
files["lua/daytona/devserver/init.lua"] = { std = "min" }
files["spec"] = { std = "max+busted" }
files["examples"] = { std = "lua54" }
files["bench"] = { std = "max" }
files["*.rockspec"] = { std = "+rockspec" }
