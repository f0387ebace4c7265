-- What we are called, and which generation of the service we speak.

return {
  -- Of this library.
  library = "0.2.0",
  -- The release of the official clients whose contract is kept. The daemon reads
  -- it as a semantic version and chooses formats by it, so it is not our own.
  protocol = "0.205.0",
}
