// Package smoke asks a running Deepgram whether it works, as its clients would
// (guide G-T): status, engine, models, batch and streaming transcription with
// words that must come back, speech, the GPU, and how long it all takes. It also
// finds how many streams at a time hold a latency.
//
// What belongs here: the checks ([Run]), the load ([Load]), how the API is reached
// ([Target], [Forward], [InCluster]), and what each failure means and what to do
// about it ([Failure]). Nothing here changes the deployment; what a test puts into
// the cluster it takes out again.
//
// sample.wav says SampleText. It was made for this project with the Debian package
// flite 2.2-5, whose voices anybody may use for anything, and sox:
//
//	flite -voice slt -t "$TEXT" -o voice.wav
//	sox voice.wav -r 16000 -c 1 -b 16 sample.wav norm -3
package smoke
