"""HTTP: the calls of the Web API, their answers, error codes and the sign-in."""
