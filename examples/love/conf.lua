function love.conf(t)
  t.identity = "daytona-example"
  t.window.title = "A sandbox in a game"
  t.window.width, t.window.height = 800, 500
  t.modules.audio, t.modules.sound, t.modules.physics, t.modules.joystick = false, false, false, false
end
