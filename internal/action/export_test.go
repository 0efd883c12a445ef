package action

// Text lets tests make text of any bytes.
var Text = text
