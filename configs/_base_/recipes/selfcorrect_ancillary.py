# The ancillary model of self-correcting networks: `model` with box attention in its
# head, on the images with masks and boxes (F). A main config says how many classes
# have boxes, and loads the boxes.
stages = dict(
    ancillary=dict(
        model=dict(
            type='BoxConditionedSegmentor', decode_head=dict(type='BoxConditionedHead')
        )
    )
)
