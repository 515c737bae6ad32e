package engine

import "time"

// processOf does not know processes here: locks are then removed by force only.
func processOf(int) (time.Time, processState) { return time.Time{}, processUnknown }
