"""Agent programs, by the requests they really sent, through the gateway onto strict fakes of other APIs."""
