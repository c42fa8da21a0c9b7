"""MediaPipe's numbering of body and hand points, by name. Left and right are the person's."""

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR, MOUTH_LEFT, MOUTH_RIGHT = 0, 2, 5, 7, 8, 9, 10
SHOULDERS, ELBOWS, WRISTS = (11, 12), (13, 14), (15, 16)
PINKIES, INDICES, THUMBS = (17, 18), (19, 20), (21, 22)
HIPS, KNEES, ANKLES = (23, 24), (25, 26), (27, 28)
HEELS, TOES = (29, 30), (31, 32)
SKELETON = (*SHOULDERS, *ELBOWS, *WRISTS, *HIPS, *KNEES, *ANKLES)
"""Points whose scale and place are the most reliable."""

HAND_WRIST, HAND_INDEX, HAND_MIDDLE, HAND_PINKY, HAND_MIDDLE_TIP = 0, 5, 9, 17, 12
