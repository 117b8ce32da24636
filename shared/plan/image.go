package plan

// image plans what the image of one agent is made with.
func (p *Plan) image(_ Image) {}
