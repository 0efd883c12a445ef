package demo

// StandbyElsewhere makes the standby listen at another address than the one that
// visitors are sent to.
func (o *PlayOptions) StandbyElsewhere(ip string) { o.standbyIP = ip }
