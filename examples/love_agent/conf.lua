function love.conf(t)
  t.identity = "daytona-agent"
  t.window.title = "An agent in a game"
  t.window.width, t.window.height = 800, 500
  t.modules.audio, t.modules.sound, t.modules.physics, t.modules.joystick = false, false, false, false
end
