"""From readings to one snapshot of the site: what is counted, what is silent, what did not follow its setpoint."""
