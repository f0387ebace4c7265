-- What we are called. (The C module says the same, for who has loaded it.)

return {
  library = "0.2.0",
}
